"""How long a client waits for what is stored, at half the rate that nginx reaches."""

import statistics
from contextlib import ExitStack

from tests.bench.clients import h2load_at_rate, wrk
from tests.bench.contenders import warm
from tests.bench.hits import start
from tests.bench.line import Line, at_most
from tests.bench.rounds import alternate, pick

CONNECTIONS = 64


def latency(bench):
    """p50 and p99 of cached manifests, by digest and by tag, at half nginx's peak rate"""
    with ExitStack() as stack:
        tree, layover, nginx = start(bench, stack, tag="latest")
        by_digest = tree.add_manifest(layers=9)
        lines = []
        for name, path in (("digest", by_digest), ("tag", tree.tag_path("latest"))):
            for contender in (layover, nginx):
                warm(contender, tree, path)
            peak = statistics.median(wrk(nginx, path, CONNECTIONS, bench.seconds).requests_per_second
                                     for _ in range(bench.rounds))
            results = alternate(
                [layover, nginx],
                lambda c: h2load_at_rate(c, path, CONNECTIONS, peak / 2, bench.seconds, bench.directory / "times"),
                bench.rounds)
            lines += [Line(f"cached manifest by {name}, {peak / 2:,.0f} requests/s: p{percent}", "ms",
                           pick(results, lambda times: times[percent] * 1e3), at_most(1.0), ("nginx",))
                      for percent in (50, 99)]
        return lines


ROWS = [latency]
