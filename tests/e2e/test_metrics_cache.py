"""Downloads, the cache and the process, in the metrics: compared with what lies on the disk, with LMDB's own
tool and with /proc. And each metric that there is has a test that names it."""

import inspect
import os
import re
import shutil
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import test_metrics_clients
import test_metrics_upstream

from tests.support import http_client
from tests.support.layover import BINARY
from tests.support.metric_changes import MetricChanges
from tests.support.processes import run, wait_until
from tests.support.recording_proxy import Hold

A = "registry-a.test"
REPOSITORY = "public/metrics"
MIB = 1 << 20


@pytest.fixture
def start(start_layover, site_a, open_upstream):
    """A function that starts a layover with these settings of its cache."""
    def start_it(**cache):
        return start_layover({A: site_a.settings(open_upstream, tag_ttl="1h")}, {"cache": cache})
    return start_it


@pytest.fixture
def plant(site_a, random_bytes):
    """A function that makes a blob of some size upstream, and gives its digest."""
    return lambda size: site_a.open.plant_blob(REPOSITORY, random_bytes(size))


def get(layover, path):
    return layover.get(A, f"{REPOSITORY}/{path}")


def stored_sizes(layover):
    return {digest: path.stat().st_size for digest, path in layover.stored_files().items()}


def gauges(layover, *names):
    scrape = layover.metrics()
    return [scrape.series(name)[""] for name in names]


def test_downloads_and_their_readers_are_gauged_while_they_last(start, open_upstream, plant):
    layover = start()
    digests = [plant(2 * MIB), plant(2 * MIB)]
    held = [open_upstream.holds.setdefault(digest, Hold(MIB)) for digest in digests]

    def are(active, readers):
        return gauges(layover, "layover_fills_active", "layover_fill_readers") == [active, readers]

    assert are(0, 0)
    with MetricChanges(layover, requests=3) as moved, ThreadPoolExecutor() as pool:
        clients = [pool.submit(get, layover, f"blobs/{digest}") for digest in (*digests, digests[0])]
        wait_until(lambda: are(2, 3), "two downloads have three readers")
        held[0].release()
        wait_until(lambda: are(1, 1), "one of them is left")
        held[1].release()
        assert {client.result().status for client in clients} == {200}
    assert are(0, 0)
    assert moved("layover_fills_total") == {"committed": 2}


def test_a_download_whose_clients_have_left_is_abandoned(start, open_upstream, plant):
    layover = start(complete_abandoned=False)
    size = 8 * MIB
    digest = plant(size)
    hold = open_upstream.holds[digest] = Hold(MIB)
    open_upstream.bytes_per_second = 4 * MIB  # the next bytes tell of the client's end, the last come later
    with MetricChanges(layover, requests=1) as moved:
        leaver = http_client.OpenDownload(layover.url(A, f"{REPOSITORY}/blobs/{digest}"))
        assert hold.reached.wait(10) and leaver.read(1)
        leaver.close()
        hold.release()
    assert moved("layover_fills_total") == {"abandoned": 1}
    assert moved("layover_client_aborts_total") == {"": 1}
    [received] = moved("layover_upstream_received_bytes_total").values()
    assert MIB <= received < size
    assert moved("layover_upstream_errors_total") == {}
    assert stored_sizes(layover) == {}


def test_downloads_ahead_of_their_clients_are_counted_by_what_became_of_them(start, site_a, random_bytes):
    layover = start()
    image = site_a.open.plant_image(REPOSITORY, "ahead", [random_bytes(MIB) for _ in range(3)])
    config, first, *others = image.blobs
    with MetricChanges(layover, requests=2) as moved:
        assert get(layover, "manifests/ahead").status == 200
        assert get(layover, f"blobs/{first}").cache == "MISS"
        wait_until(lambda: stored_sizes(layover).keys() >= set(image.blobs), "the rest has come")
    assert moved("layover_prefetches_total") == {"unasked": 1 + len(others)}
    assert moved("layover_fills_total") == {"committed": 5}
    with MetricChanges(layover, requests=1) as moved:
        assert get(layover, f"blobs/{config}").cache == "MISS", "it was fetched for its first client"
    assert moved("layover_prefetches_total") == moved("layover_saved_bytes_total") == {}


def test_a_disk_that_fails_is_a_disk_error(start, open_upstream, plant):
    layover = start()
    shutil.rmtree(layover.cache_path / "fills")
    (layover.cache_path / "fills").touch()   # so that it cannot be made again
    digest = plant(MIB)
    with MetricChanges(layover, requests=1) as moved:
        assert get(layover, f"blobs/{digest}").cache == "BYPASS"
    assert moved("layover_fills_total") == {"disk_error": 1}
    assert moved("layover_upstream_errors_total") == {}
    assert moved("layover_saved_bytes_total") == {}
    assert gauges(layover, "layover_cache_degraded") == [1]


def test_what_is_too_large_is_abandoned_and_nothing_is_evicted_for_it(start, plant):
    for limits in ({"max_size": "16MiB", "max_object": "100%"}, {"max_size": "64MiB"}):
        layover = start(**limits)
        get(layover, f"blobs/{plant(MIB)}")
        layover.settle()
        with MetricChanges(layover, requests=1) as moved:
            assert get(layover, f"blobs/{plant(16 * MIB + 1)}").cache == "BYPASS"
        assert moved("layover_fills_total") == {"abandoned": 1}
        assert moved("layover_evicted_objects_total") == {} == moved("layover_evicted_bytes_total")
        assert gauges(layover, "layover_cache_degraded") == [0]


def test_what_is_stored_is_counted_by_kind_and_survives_a_restart(start, site_a, random_bytes):
    layover = start()
    image = site_a.open.plant_image(REPOSITORY, "1.0", [random_bytes(100_000), random_bytes(70_000)])
    with MetricChanges(layover, requests=4) as moved:
        for path in ("manifests/1.0", *(f"blobs/{digest}" for digest in image.blobs)):
            assert get(layover, path).status == 200
    size = len(image.manifest) + sum(len(content) for content in image.blobs.values())
    assert moved("layover_cache_bytes") == {"": size} == {"": sum(stored_sizes(layover).values())}
    assert moved("layover_cache_objects") == {"manifest": 1, "blob": 3}
    layover.restart()
    assert gauges(layover, "layover_cache_bytes") == [size]
    assert layover.metrics().series("layover_cache_objects") == {"manifest": 1, "blob": 3}
    assert layover.metrics().value("layover_fills_total") == 0, "counters are the process's own"


def test_the_index_is_as_large_as_lmdb_says(start, plant):
    layover = start()
    before = gauges(layover, "layover_index_bytes")
    for _ in range(8):
        assert get(layover, f"blobs/{plant(100)}").status == 200
    layover.settle()
    layover.stop()
    layover.start()
    said = run(["mdb_stat", "-e", layover.cache_path / "index"]).stdout
    page, used = (int(re.search(rf"{name}: (\d+)", said)[1]) for name in ("Page size", "Number of pages used"))
    assert gauges(layover, "layover_index_bytes") == [page * used]
    assert page * used > before[0]


def test_the_limit_is_the_configured_one(start):
    assert gauges(start(max_size="640MiB"), "layover_cache_max_bytes") == [640 * MIB]


def test_an_eviction_counts_what_is_gone_from_the_disk(start, plant):
    layover = start(max_size="16MiB")
    for _ in range(20):
        assert get(layover, f"blobs/{plant(MIB)}").status == 200
    layover.settle()

    def evicted():
        """How many, once all that is counted and what lies on the disk are the same."""
        left = stored_sizes(layover)
        gone = 20 - len(left)
        counted = gauges(layover, "layover_evicted_objects_total", "layover_evicted_bytes_total",
                         "layover_cache_bytes")
        objects = layover.metrics().series("layover_cache_objects")
        is_so = counted == [gone, gone * MIB, len(left) * MIB] and objects == {"manifest": 0, "blob": len(left)}
        return gone if is_so else None
    assert wait_until(evicted, "the metrics and the disk agree") >= 20 - 16
    assert layover.metrics().series("layover_fills_total")["committed"] == 20


def test_a_stored_file_that_is_not_what_it_was_counts_once(start, plant):
    layover = start()
    digests = [plant(100_000), plant(100_000)]
    for digest in digests:
        get(layover, f"blobs/{digest}")
    layover.settle()
    os.truncate(layover.stored_files()[digests[0]], 99_999)
    for digest in digests:
        assert len(get(layover, f"blobs/{digest}").body) == 100_000
    assert gauges(layover, "layover_damaged_objects_total") == [1]


def test_a_cache_that_works_is_not_degraded(start):
    assert gauges(start(), "layover_cache_degraded") == [0]


def test_the_build_is_what_the_program_says_of_itself(start):
    said = subprocess.run([BINARY, "--version"], capture_output=True, text=True, check=True).stdout.split()
    [(_, labels, value)] = [s for s in start().metrics().samples if s[0] == "layover_build_info"]
    assert (["layover", labels["version"]], value) == (said[:2], 1)
    assert set(labels) == {"version", "revision"}


def test_the_process_is_what_proc_says(start):
    layover = start()
    proc = Path(f"/proc/{layover.pid}")
    started = layover.cpu_seconds()
    for _ in range(30):
        layover.admin("/metrics")
    [cpu, resident, start_time, limit] = gauges(
        layover, "process_cpu_seconds_total", "process_resident_memory_bytes", "process_start_time_seconds",
        "process_max_fds")
    tick = 1 / os.sysconf("SC_CLK_TCK")
    assert started < cpu <= layover.cpu_seconds() + 2 * tick  # /proc cuts user and system time to ticks each
    pages = int((proc / "statm").read_text().split()[1])
    assert resident == pytest.approx(pages * os.sysconf("SC_PAGE_SIZE"), rel=0.1)
    ticks = int((proc / "stat").read_text().rpartition(")")[2].split()[19])
    boot = int(re.search(r"^btime (\d+)", Path("/proc/stat").read_text(), re.MULTILINE)[1])
    assert start_time == pytest.approx(boot + ticks * tick, abs=0.01)
    assert limit == int(re.search(r"Max open files +(\d+)", (proc / "limits").read_text())[1])


def test_each_connection_is_one_descriptor_more(start):
    layover = start()

    def open_fds():
        return gauges(layover, "process_open_fds")[0]

    def settled():
        """The figure once it has nothing but the scrape's own connection beyond what is there in between."""
        first, between, second = open_fds(), len(os.listdir(f"/proc/{layover.pid}/fd")), open_fds()
        return first if first == second == between + 1 else None

    before = wait_until(settled, "connections of before are closed")
    clients = [socket.create_connection(("127.0.0.1", layover.port)) for _ in range(10)]
    wait_until(lambda: open_fds() == before + 10, "ten more")
    for client in clients:
        client.close()
    wait_until(lambda: open_fds() == before, "and ten less")


def test_no_metric_is_without_a_test(start, open_upstream, plant):
    layover = start()
    open_upstream.headers = [("RateLimit-Remaining", "76")]
    for _ in range(2):
        get(layover, f"blobs/{plant(100)}")
    text = http_client.fetch(f"http://127.0.0.1:{layover.admin_port}/metrics").body.decode()
    families = set(re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE))
    modules = (test_metrics_clients, test_metrics_upstream, inspect.getmodule(get))
    named = {re.sub(r"_(count|sum|bucket)$", "", name) for module in modules
             for name in re.findall(r'"((?:layover|process)_\w+)"', inspect.getsource(module))}
    assert families and families - named == set()
    assert named - families == set(), "these are tested, and are not there"
