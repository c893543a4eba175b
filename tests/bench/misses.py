"""What is not stored yet: each download meets an empty cache."""

import os
import statistics
from contextlib import ExitStack, contextmanager

from tests.bench.clients import curl, h2load_whole
from tests.bench.contenders import Direct, LayoverContender, NginxContender, RegistryContender, warm
from tests.bench.content import Origin, Tree
from tests.bench.line import DIFFERENCE, VALUE, Line, at_most
from tests.bench.rounds import alternate, pick
from tests.support.processes import wait_until

PROXIES = {"layover": LayoverContender, "nginx": NginxContender, "docker-registry": RegistryContender}
CLIENTS = 50


def cold_blob(bench):
    """cold 400 MB blob, 1 client"""
    with ExitStack() as stack:
        size = bench.size(400_000_000, 8_000_000)
        tree, origin = _upstream(bench, stack)
        path = tree.add_random_blob(size)
        direct = Direct(origin)
        warm(direct, tree, path)

        def download(candidate):
            with _empty(bench, candidate.name, origin) as server:
                return curl(f"{server.base}/{path}", size)[0]

        samples = alternate([direct, *map(_Candidate, PROXIES)], download, bench.rounds)
        title = f"cold blob of {size / 1e6:g} MB, 1 client: wall time"
        return [Line(title, "s", samples, at_most(limit), (peer,))
                for peer, limit in (("direct", 1.1), ("nginx", 0.5), ("docker-registry", 0.5))]


def first_byte(bench):
    """cold blob: time to its first byte"""
    with ExitStack() as stack:
        tree, origin = _upstream(bench, stack)
        size = bench.size(4_000_000, 400_000)
        sizes = [size + number for number in range(bench.size(20, 3))]
        paths = [tree.add_random_blob(size) for size in sizes]
        direct = Direct(origin)
        for path in paths:
            warm(direct, tree, path)

        def wait(candidate):
            with _empty(bench, candidate.name, origin) as server:
                return statistics.median(curl(f"{server.base}/{path}", size)[1]
                                         for path, size in zip(paths, sizes, strict=True))

        results = alternate([direct, _Candidate("layover")], wait, bench.rounds)
        return [Line("cold blob: time to first byte", "ms", pick(results, lambda seconds: seconds * 1e3),
                     at_most(1.0, DIFFERENCE), ("direct",))]


def fifty_clients(bench):
    """cold 400 MB blob, 50 clients at once"""
    with ExitStack() as stack:
        size = bench.size(400_000_000, 8_000_000)
        tree, origin = _upstream(bench, stack, is_counted=True)
        path = tree.add_random_blob(size)
        cold, cached, shares = [], [], []
        warm(Direct(origin), tree, path)
        for _ in range((bench.rounds + 1) // 2):  # each moves 40 GB
            with _empty(bench, "layover", origin) as server:
                before = origin.sent()
                cold.append(h2load_whole(f"{server.base}/{path}", CLIENTS, size))
                server.settle()
                wait_until(lambda: origin.sent() >= before + size, "upstream has logged what it sent")
                shares.append((origin.sent() - before) / size)
                cached.append(h2load_whole(f"{server.base}/{path}", CLIENTS, size))
                warm(server, tree, path)
        title = f"cold blob of {size / 1e6:g} MB, {CLIENTS} clients at once: "
        return [Line(title + "bytes from upstream", "x its size", {"layover": shares}, at_most(1.001, VALUE)),
                Line(title + "wall time, against the same when cached", "s", {"layover": cold, "cached": cached},
                     at_most(1.1), ("cached",))]


ROWS = [cold_blob, first_byte, fifty_clients]


class _Candidate:
    """One that is started anew for each measurement."""

    def __init__(self, name):
        self.name = name


def _upstream(bench, stack, **more):
    tree = bench.keep(stack, Tree(bench.new_directory("tree")))
    return tree, bench.keep(stack, Origin(bench.new_directory("origin"), tree, **more))


@contextmanager
def _empty(bench, name, origin):
    """That contender with nothing stored, and nothing of an earlier one waiting to be written to the disk."""
    if name == "direct":
        yield Direct(origin)
        return
    directory = bench.new_directory(name)
    server = PROXIES[name](directory, origin)
    os.sync()
    try:
        yield server
        server.settle()
    finally:
        server.stop()
        bench.remove(directory)
