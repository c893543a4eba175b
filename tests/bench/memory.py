"""What layover keeps in memory of its own: under cold downloads, and for connections that wait."""

import resource
import socket
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.bench.clients import h2load_whole
from tests.bench.contenders import LayoverContender, warm
from tests.bench.content import Origin, Tree
from tests.bench.hits import start
from tests.bench.line import VALUE, Line, at_most

BLOBS, CLIENTS_PER_BLOB = 10, 5
LIMIT = 256 << 20
CONTROLLERS = {"memory.limit_in_bytes": Path("/sys/fs/cgroup/memory"), "memory.max": Path("/sys/fs/cgroup")}


def peak_memory(bench):
    """peak memory while 50 clients pull ten 1 GB blobs cold, in 256 MiB where a cgroup can be made"""
    with ExitStack() as stack:
        size = bench.size(1_000_000_000, 4_000_000)
        tree = bench.keep(stack, Tree(bench.new_directory("tree")))
        blobs = [(tree.add_sparse_blob(size + number), size + number) for number in range(BLOBS)]
        origin = bench.keep(stack, Origin(bench.new_directory("origin"), tree))
        server = bench.keep(stack, LayoverContender(bench.new_directory("layover"), origin, threads=2))
        group = stack.enter_context(_memory_limit(server.pids()[0]))
        with _peak(server) as peak, ThreadPoolExecutor(BLOBS) as pool:
            for _ in pool.map(lambda blob: h2load_whole(f"{server.base}/{blob[0]}", CLIENTS_PER_BLOB, blob[1]),
                              blobs):
                pass
        server.settle()
        assert server.server.is_running, "layover was killed"
        title = f"peak memory while {BLOBS * CLIENTS_PER_BLOB} clients pull {BLOBS} blobs of {size / 1e6:g} MB cold"
        return [Line(title, "MB", {"layover": [peak[0] / 1e6]}, at_most(64, VALUE), notes=[group])]


def idle_connections(bench):
    """10,000 idle keep-alive connections: memory each"""
    count = min(bench.size(10_000, 300), resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 1000)
    _allow_descriptors()
    samples = {"layover": [], "nginx": []}
    for _ in range(bench.rounds):
        with ExitStack() as stack:  # new servers: the allocator keeps what the last round has left behind
            tree, *contenders = start(bench, stack, settings={"limits": {"max_connections": 15_000}})
            path = tree.add_manifest()
            for contender in contenders:
                warm(contender, tree, path)
                samples[contender.name].append(_bytes_of_each(bench, contender, path, count))
    return [Line(f"{count:,} idle keep-alive connections: memory of each", "bytes", samples, at_most(2048, VALUE),
                 notes=[f"nginx: {statistics.median(samples['nginx']):,.0f}"])]


ROWS = [peak_memory, idle_connections]


@contextmanager
def _memory_limit(pid):
    """Puts a process into a control group of its own while it lasts; gives what the table says of it."""
    file = next((name for name, place in CONTROLLERS.items() if (place / "cgroup.procs").exists()), None)
    if file is None:
        yield "without a limit: there is no cgroup for memory here"
        return
    place, before = CONTROLLERS[file], _group_of(pid)
    group = place / f"layover-bench-{pid}"
    try:
        group.mkdir()
        (group / file).write_text(str(LIMIT))
        (group / "cgroup.procs").write_text(str(pid))
    except OSError as error:
        yield f"without a limit: {error}"
        return
    try:
        yield "in a cgroup with 256 MiB"
    finally:
        (place / before / "cgroup.procs").write_text(str(pid))
        group.rmdir()


def _group_of(pid):
    """The control group for memory that a process is in, below the controller's place."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers in ("memory", ""):
            return path.lstrip("/")
    return ""


@contextmanager
def _peak(server):
    """A list of one number: the most that the server's memory came to, looked at every 10 ms."""
    peak, is_over = [0], threading.Event()

    def watch():
        while not is_over.wait(0.01):
            peak[0] = max(peak[0], server.rss_anon())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        is_over.set()
        watcher.join()


def _allow_descriptors():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _bytes_of_each(bench, contender, path, count):
    """Memory that connections take which have had one answer each and have waited a while. The first few do not
    count: with them come tables and buffers that serve all."""
    request = f"HEAD /v2/{path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    with ExitStack() as stack:
        def open_some(number):
            for n in range(number):
                # The ports of one address are not enough where much else goes on.
                connection = stack.enter_context(socket.create_connection(
                    ("127.0.0.1", contender.port), timeout=10, source_address=(f"127.0.0.{2 + n // 4000}", 0)))
                connection.sendall(request)
                assert connection.recv(4096).startswith(b"HTTP/1.1 200"), f"{contender.name} does not answer"

        open_some(200)
        before = settled_memory(contender, bench.size(3.0, 0.5))
        open_some(count)
        return (settled_memory(contender, bench.size(3.0, 0.5)) - before) / count


def settled_memory(contender, seconds):
    """The least that its memory comes to in that time: buffers of the last requests are given back meanwhile."""
    least, end = contender.rss_anon(), time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.1)
        least = min(least, contender.rss_anon())
    return least
