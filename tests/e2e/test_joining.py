"""Many clients want one blob that is not there yet: upstream sends it once, each client gets all of it as
it arrives, a slow one holds up nobody, and memory does not grow."""

import hashlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support import images
from tests.support.blob_readers import BlobReader
from tests.support.recording_proxy import Hold

MB = 1_000_000
SIZE = 400 * MB
CLIENTS = 20


@pytest.fixture(scope="module")
def big_blob(site_a):
    return site_a.open.plant_blob("public/joining", images.random_file(SIZE))


class MemorySampler:
    """The highest RssAnon of a process while the `with` lasts."""

    def __init__(self, layover):
        self._layover = layover
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self.peak = 0

    def _sample(self):
        while not self._over.wait(0.05):
            self.peak = max(self.peak, self._layover.rss_anon())

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *unused):
        self._over.set()
        self._thread.join()


@pytest.fixture
def clients(layover, big_blob):
    """Twenty connected clients; the last one reads 1 MB/s."""
    url = layover.url("registry-a.test", f"public/joining/blobs/{big_blob}")
    readers = [BlobReader(url) for _ in range(CLIENTS - 1)] + [BlobReader(url, MB)]
    yield readers
    for reader in readers:
        reader.stop()


def test_twenty_clients_share_one_download(layover, upstream, big_blob, clients):
    upstream.bytes_per_second = 40 * MB
    # Less than a tenth of it until all clients have had their first byte: it is the download they share.
    hold = upstream.holds[big_blob] = Hold(SIZE // 12)
    quick, slow = clients[:-1], clients[-1]

    with MemorySampler(layover) as memory:
        for client in clients:
            client.go()
        starts = [client.next_report() for client in clients]
        [download] = upstream.requests(method="GET", reference=big_blob, status=200)
        assert download.sent < SIZE / 10, "all clients were there before a tenth of the blob was"
        hold.release()
        ends = [client.next_report() for client in quick]
        slow.free()
        ends.append(slow.next_report())

    assert upstream.count(method="GET", reference=big_blob) == 1
    assert sorted(start["cache"] for start in starts) == ["JOINED"] * (CLIENTS - 1) + ["MISS"]
    assert max(start["first_byte_after"] for start in starts) < 2.0, "first bytes come at once"
    assert {end["digest"] for end in ends} == {big_blob}
    assert max(end["ended"] for end in ends[:-1]) - download.ended < 2.0, "the slow client delays no other"
    assert memory.peak < 100 << 20

    layover.settle()
    metrics = layover.metrics()
    assert metrics.value("layover_fills_total", result="committed") == 1
    assert metrics.value("layover_http_requests_total", kind="blob", cache="joined", code="200") == CLIENTS - 1
    assert metrics.value("layover_http_requests_total", kind="blob", cache="miss", code="200") == 1
    assert metrics.value("layover_upstream_received_bytes_total", registry="registry-a.test") >= SIZE
    assert metrics.value("layover_saved_bytes_total", registry="registry-a.test") >= SIZE * (CLIENTS - 1)
    assert metrics.value("layover_fill_readers") == 0


def test_a_late_client_gets_the_blob_from_its_first_byte(layover, upstream, site_a, random_bytes):
    content = random_bytes(4_000_000)
    digest = site_a.open.plant_blob("public/late", content)
    hold = upstream.holds[digest] = Hold(3_000_000)
    path = f"public/late/blobs/{digest}"
    with ThreadPoolExecutor() as pool:
        first = pool.submit(layover.get, "registry-a.test", path)
        assert hold.reached.wait(10)
        late = pool.submit(layover.get, "registry-a.test", path)
        part = pool.submit(layover.get, "registry-a.test", path, headers={"Range": "bytes=100-2999999"})
        assert part.result().body == content[100:3_000_000], "what is there is sent while the rest is awaited"
        hold.release()
        assert first.result().body == late.result().body == content
    assert (first.result().cache, late.result().cache, part.result().cache) == ("MISS", "JOINED", "JOINED")
    assert upstream.count(method="GET", reference=digest) == 1


def test_the_first_client_leaves_and_the_others_finish(layover, upstream, site_a, random_bytes):
    content = random_bytes(2_000_000)
    digest = site_a.open.plant_blob("public/leaver", content)
    hold = upstream.holds[digest] = Hold(1_000_000)
    leaver = BlobReader(layover.url("registry-a.test", f"public/leaver/blobs/{digest}"))
    leaver.go()
    assert hold.reached.wait(10)
    leaver.next_report()
    stayer = BlobReader(layover.url("registry-a.test", f"public/leaver/blobs/{digest}"))
    stayer.go()
    stayer.next_report()
    leaver.stop()
    hold.release()
    assert stayer.next_report()["digest"] == digest
    stayer.stop()
    assert upstream.count(method="GET", reference=digest) == 1


def test_the_only_client_leaves_and_the_download_is_completed(layover, upstream, site_a, random_bytes):
    content = random_bytes(2_000_000)
    digest = site_a.open.plant_blob("public/alone", content)
    hold = upstream.holds[digest] = Hold(1_000_000)
    leaver = BlobReader(layover.url("registry-a.test", f"public/alone/blobs/{digest}"))
    leaver.go()
    assert hold.reached.wait(10)
    leaver.next_report()
    leaver.stop()
    hold.release()
    answer = layover.get("registry-a.test", f"public/alone/blobs/{digest}")
    assert answer.body == content
    assert upstream.count(method="GET", reference=digest) == 1


def test_fifty_requests_for_a_small_blob_are_one_upstream(layover, upstream, site_a, random_bytes):
    content = random_bytes(20_000)
    digest = site_a.open.plant_blob("public/small", content)
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: layover.get("registry-a.test", f"public/small/blobs/{digest}"), range(50)))
    assert {hashlib.sha256(answer.body).digest() for answer in answers} == {hashlib.sha256(content).digest()}
    assert {answer.cache for answer in answers} <= {"MISS", "JOINED", "HIT"}
    assert upstream.count(method="GET", reference=digest) == 1
    layover.settle()
    assert layover.metrics().value("layover_fills_total", result="committed") == 1


def test_a_slow_reader_of_a_finished_blob_costs_no_memory(layover, big_blob):
    """The bytes wait in the page cache, not in the process."""
    url = layover.url("registry-a.test", f"public/joining/blobs/{big_blob}")
    slow = [BlobReader(url, MB) for _ in range(10)]
    with MemorySampler(layover) as memory:
        for reader in slow:
            reader.go()
        for reader in slow:
            reader.next_report()
        time.sleep(1)
    for reader in slow:
        reader.stop()
    assert memory.peak < 100 << 20
