"""One loop's work beside another's, and beside other work on the same loop."""

import os
import re
import shutil
import statistics
import threading
from contextlib import ExitStack, contextmanager

from tests.bench.clients import curl, h2load_at_rate, wrk
from tests.bench.contenders import LayoverContender, NginxContender, warm
from tests.bench.content import Origin, Tree
from tests.bench.line import VALUE, Line, at_most
from tests.bench.rounds import alternate, pick
from tests.support.processes import run

# What a thread does that waits for another: in the C library, and in the kernel by way of it.
LOCKS = re.compile(r"mutex|lll_lock|futex|rwlock|spin_lock|cond_wait|sem_wait", re.IGNORECASE)
RATE, CONNECTIONS = 2000, 16


def two_loops(bench):
    """server CPU seconds per 100,000 cached manifests with two loops, against one"""
    with ExitStack() as stack:
        tree, origin = _upstream(bench, stack)
        path = tree.add_manifest()
        loops = [_layover(bench, stack, origin, name, threads)
                 for name, threads in (("one loop", 1), ("two loops", 2))]
        nginx = [bench.keep(stack, NginxContender(bench.new_directory("nginx"), origin, name, workers))
                 for name, workers in (("nginx, one worker", 1), ("nginx, two workers", 2))]
        for contender in (*loops, *nginx):
            warm(contender, tree, path)
        results = alternate([*loops, *nginx], lambda c: wrk(c, path, 64, bench.seconds), bench.rounds)
        samples = pick(results, lambda load: load.cpu_seconds / load.requests * 1e5)
        one_worker, two_workers = (statistics.median(samples[contender.name]) for contender in nginx)
        lines = [Line("two loops, cached manifest by digest: server CPU seconds per 100,000", "CPU s", samples,
                      at_most(1.15), ("one loop",), ours="two loops",
                      notes=[f"two workers of nginx against one: {two_workers / one_worker:.2f}x"])]
        share = _share_of_locks(bench, loops[1], path)
        if share is not None:
            name, percent = share
            lines.append(Line("the same: the lock that most of the profile is spent in", "%", {"two loops": [percent]},
                              at_most(1.0, VALUE), ours="two loops", notes=[name]))
        return lines


def beside_cold_reads(bench):
    """p99 of manifest hits while a client reads a blob that is not in memory, against without"""
    with ExitStack() as stack:
        tree, origin = _upstream(bench, stack)
        size = bench.size(1_000_000_000, 8_000_000)
        manifest, blob = tree.add_manifest(), tree.add_random_blob(size)
        server = _layover(bench, stack, origin, "layover", 1)
        for path in (manifest, blob):
            warm(server, tree, path)
        stored = server.server.stored_files()[tree.digest(blob)]

        def p99(case):
            with ExitStack() as beside:
                if case.name != "alone":
                    beside.enter_context(_reading(server, blob, size, stored if case.name == "layover" else None))
                return h2load_at_rate(server, manifest, CONNECTIONS, RATE, bench.seconds, bench.directory / "times")[99]

        results = alternate([_Case("layover"), _Case("alone"), _Case("blob in memory")], p99, bench.rounds)
        return [Line(f"manifest hits, {RATE:,} requests/s, while a client reads a cold blob on the same loop: p99",
                     "ms", pick(results, lambda seconds: seconds * 1e3), at_most(2.0), ("alone",))]


ROWS = [two_loops, beside_cold_reads]


class _Case:
    def __init__(self, name):
        self.name = name


def _upstream(bench, stack):
    tree = bench.keep(stack, Tree(bench.new_directory("tree")))
    return tree, bench.keep(stack, Origin(bench.new_directory("origin"), tree))


def _layover(bench, stack, origin, name, threads):
    return bench.keep(stack, LayoverContender(bench.new_directory("layover"), origin, name, threads))


def _share_of_locks(bench, server, path):
    """(symbol, percent) of the lock that most of the time goes to; None where there is no perf."""
    if shutil.which("perf") is None:
        return None
    data = bench.directory / "perf.data"
    load = threading.Thread(target=wrk, args=(server, path, 64, bench.seconds + 1))
    load.start()
    try:
        run(["perf", "record", "-q", "-e", "cpu-clock", "-F", "999", "-o", data, "-p", server.pids()[0],
             "--", "sleep", bench.seconds], timeout=bench.seconds + 60)
    finally:
        load.join()
    report = run(["perf", "report", "-i", data, "--stdio", "--no-children", "-g", "none", "--sort", "symbol"],
                 timeout=120).stdout
    shares = [(found[2], float(found[1])) for line in report.splitlines()
              if (found := re.match(r"\s*([\d.]+)%\s+\[.\]\s+(\S+)", line))]
    assert shares, f"perf saw nothing: {report[:500]}"
    return max(((name, share) for name, share in shares if LOCKS.search(name)),
               key=lambda one: one[1], default=("none", 0.0))


@contextmanager
def _reading(server, blob, size, cold_file):
    """Downloads a stored blob again and again meanwhile, each time after the system has forgotten the pages of
    `cold_file`, where there is one."""
    is_over, failures = threading.Event(), []

    def read():
        try:
            while not is_over.is_set():
                if cold_file:
                    _forget(cold_file)
                curl(f"{server.base}/{blob}", size)
        except Exception as error:  # noqa: BLE001: raised below, in the row's own thread
            failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield
    finally:
        is_over.set()
        reader.join()
    if failures:
        raise failures[0]


def _forget(file):
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
