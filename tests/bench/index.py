"""An index with a million objects. They have no files: what is measured here is the index."""

import time
from contextlib import ExitStack

from tests.bench.contenders import LayoverContender
from tests.bench.content import Origin, Tree
from tests.bench.line import VALUE, Line, at_most
from tests.bench.memory import settled_memory
from tests.support.images import ROOT
from tests.support.processes import run

PROGRAM = ROOT / "build" / "release" / "tests" / "bench" / "index_look_ups"


def large_index(bench):
    """index with 1,000,000 objects: look-up, start, memory at rest"""
    with ExitStack() as stack:
        objects = bench.size(1_000_000, 10_000)
        cache = bench.new_directory("cache")
        cache.mkdir()
        look_ups = [int(run([PROGRAM, cache, objects, bench.size(1_000_000, 10_000)], timeout=600).stdout.split()[1])
                    for _ in range((bench.rounds + 1) // 2)]  # filling it takes longest
        tree = bench.keep(stack, Tree(bench.new_directory("tree")))
        origin = bench.keep(stack, Origin(bench.new_directory("origin"), tree))
        starts, memory = [], []
        for _ in range(bench.rounds):
            began = time.monotonic()
            server = LayoverContender(bench.new_directory("layover"), origin, cache_path=cache)
            starts.append(time.monotonic() - began)
            try:
                found = server.server.metrics().value("layover_cache_objects")
                assert found == objects, f"{found} objects of {objects}"
                memory.append(settled_memory(server, bench.size(3.0, 0.5)) / 1e6)
            finally:
                server.server.stop()
        title = f"index with {objects:,} objects: "
        return [Line(title + "p99 of a look-up", "µs", {"layover": [one / 1e3 for one in look_ups]},
                     at_most(20, VALUE)),
                Line(title + "start to ready", "s", {"layover": starts}, at_most(1.0, VALUE)),
                Line(title + "memory at rest", "MB", {"layover": memory}, at_most(64, VALUE))]


ROWS = [large_index]
