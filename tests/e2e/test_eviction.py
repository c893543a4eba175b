"""A cache with a limit on its size: the limit holds at every moment while much more is pulled through it,
nobody who reads is disturbed, and what had to go is fetched again."""

import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.blob_readers import BlobReader
from tests.support.processes import wait_until

MIB = 1 << 20
LIMIT = 64 * MIB
BLOB = 8 * MIB
BLOBS = 3 * LIMIT // BLOB
SLOW_BLOB = 24 * MIB  # more than the sockets' buffers hold
REGISTRY = "registry-a.test"
CLIENTS = 6


def sizes_by_file(cache_path):
    """Inode -> size of every file under blobs/ and fills/."""
    found = {}
    pending = [cache_path / "blobs", cache_path / "fills"]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                    continue
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                found[status.st_ino] = status.st_size
    return found


class SpaceSampler:
    """The most that lay on the disk, and the most that the metric said, while the `with` lasts. A walk
    takes a while in which files come and go: what two walks in a row both saw was there between them,
    all at once."""

    def __init__(self, layover):
        self._layover = layover
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self.peak_of_files = self.peak_of_metric = self.samples = 0

    def _sample(self):
        before = sizes_by_file(self._layover.cache_path)
        while not self._over.is_set():
            now = sizes_by_file(self._layover.cache_path)
            there = sum(min(size, now[inode]) for inode, size in before.items() if inode in now)
            self.peak_of_files = max(self.peak_of_files, there)
            self.peak_of_metric = max(self.peak_of_metric, self._layover.metrics().value("layover_cache_bytes"))
            self.samples += 1
            before = now

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *unused):
        self._over.set()
        self._thread.join()


@pytest.fixture
def small_cache(start_layover, site_a, upstream):
    cache = {"max_size": "64MiB", "max_object": "100%", "prefetch": False}  # bytes are counted here
    return start_layover({site_a.name: site_a.settings(upstream)}, {"cache": cache})


@pytest.fixture(scope="module")
def blobs(site_a):
    """Three times the limit, as digests."""
    make = random.Random("eviction").randbytes
    return [site_a.open.plant_blob("public/eviction", make(BLOB)) for _ in range(BLOBS)]


def path_of(digest):
    return f"public/eviction/blobs/{digest}"


def start_slow_reader(layover, digest):
    """One that has its first bytes and takes its time for the rest."""
    reader = BlobReader(layover.url(REGISTRY, path_of(digest)), 256 * 1024)
    reader.go()
    reader.next_report()
    return reader


def pull_all(layover, digests, order):
    for digest in order.sample(digests, len(digests)):
        answer = layover.get(REGISTRY, path_of(digest), timeout=120)
        assert answer.status == 200, answer.body
        assert answer.digest == digest


def test_the_limit_holds_while_three_times_as_much_is_pulled(small_cache, site_a, blobs, random_bytes, seed):
    slow_digests = [site_a.open.plant_blob("public/eviction", random_bytes(SLOW_BLOB)) for _ in range(2)]
    for digest in slow_digests:
        assert small_cache.get(REGISTRY, path_of(digest)).digest == digest
    small_cache.settle()
    assert set(slow_digests) <= set(small_cache.stored_files())
    slow = [start_slow_reader(small_cache, digest) for digest in slow_digests]

    with SpaceSampler(small_cache) as space, ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(pull_all, small_cache, blobs, random.Random(seed + n)) for n in range(CLIENTS)]
        for client in clients:
            client.result()
    assert space.samples >= 10
    assert LIMIT // 2 < space.peak_of_files <= LIMIT
    assert space.peak_of_metric <= LIMIT

    assert not set(slow_digests) & set(small_cache.stored_files()), "what the slow clients read is evicted"
    for reader, digest in zip(slow, slow_digests):
        reader.free()
        assert reader.next_report()["digest"] == digest
        reader.stop()

    small_cache.settle()
    metrics = small_cache.metrics()
    assert metrics.value("layover_cache_max_bytes") == LIMIT
    assert metrics.value("layover_evicted_bytes_total") >= 2 * LIMIT
    assert metrics.value("layover_evicted_objects_total") >= 2 * LIMIT // BLOB
    stored = {digest: path.stat().st_size for digest, path in small_cache.stored_files().items()}
    assert metrics.value("layover_cache_bytes") == sum(stored.values())
    assert metrics.value("layover_cache_objects") == len(stored)
    assert metrics.value("layover_fills_total", result="disk_error") == 0


def test_evicted_blobs_of_a_kept_manifest_are_fetched_again(small_cache, upstream, seeded, blobs):
    app = seeded.app
    layers = app.blob_digests()
    for digest in layers:
        assert small_cache.get(REGISTRY, f"public/app/blobs/{digest}").digest == digest
    pull_all(small_cache, blobs, random.Random(1))
    manifest = f"public/app/manifests/{app.digest}"
    assert small_cache.get(REGISTRY, manifest).digest == app.digest
    small_cache.settle()
    assert app.digest in small_cache.stored_files()
    assert not layers & set(small_cache.stored_files())

    upstream.forget()
    assert small_cache.get(REGISTRY, manifest).cache == "HIT"
    for digest in layers:
        answer = small_cache.get(REGISTRY, f"public/app/blobs/{digest}")
        assert (answer.status, answer.cache, answer.digest) == (200, "MISS", digest)
    assert upstream.count(method="GET", kind="blobs") == len(layers)


def test_a_blob_larger_than_the_limit_is_passed_on_and_costs_nothing_else(small_cache, site_a, random_bytes):
    kept = random_bytes(MIB)
    kept_digest = site_a.open.plant_blob("public/eviction", kept)
    large = site_a.open.plant_blob("public/eviction", random_bytes(LIMIT + 1))
    assert small_cache.get(REGISTRY, path_of(kept_digest)).body == kept
    small_cache.settle()

    passed_on = small_cache.get(REGISTRY, path_of(large))
    assert (passed_on.status, passed_on.cache, passed_on.digest) == (200, "BYPASS", large)
    assert small_cache.metrics().value("layover_fills_total", result="disk_error") == 0
    assert small_cache.get(REGISTRY, path_of(kept_digest)).cache == "HIT"
    small = random_bytes(MIB)
    digest = site_a.open.plant_blob("public/eviction", small)
    assert small_cache.get(REGISTRY, path_of(digest)).body == small


def test_a_start_with_a_lower_limit_evicts_after_it_is_ready(start_layover, site_a, upstream, blobs):
    layover = start_layover({site_a.name: site_a.settings(upstream)})
    pull_all(layover, blobs, random.Random(1))
    layover.settle()
    assert sum(path.stat().st_size for path in layover.stored_files().values()) == BLOBS * BLOB
    layover.stop()
    layover.config["cache"]["max_size"] = "64MiB"
    layover.start()
    wait_until(lambda: sum(sizes_by_file(layover.cache_path).values()) <= LIMIT, "the cache is within its limit")
    wait_until(lambda: layover.metrics().value("layover_evicted_bytes_total") >= 2 * LIMIT, "eviction is counted")
    assert layover.metrics().value("layover_cache_bytes") <= LIMIT
