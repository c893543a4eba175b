"""A real file system that fills up in the middle of a download, and for good: pulls go on from upstream, and the
cache stores again once there is room."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.processes import wait_until

MIB = 1 << 20
REGISTRY = "registry-a.test"
REPOSITORY = "public/full-disk"
DISK = 96 * MIB

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")


@pytest.fixture
def layover(start_layover, site_a, upstream):
    """One whose cache has a file system of its own."""
    instance = start_layover({site_a.name: site_a.settings(upstream)},
                             {"cache": {"max_size": "100%", "min_free": "0B", "max_object": "100%"}}, launch=False)
    instance.cache_path.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", instance.cache_path], check=True)
    try:
        yield instance.start()
        instance.stop()
    finally:
        instance.kill()
        subprocess.run(["umount", "-l", instance.cache_path], check=True)


@pytest.fixture
def small_disk(layover):
    return layover.cache_path


def free(place):
    status = os.statvfs(place)
    return status.f_bavail * status.f_frsize


def occupy(place, leave):
    """Another's file, which takes all room but `leave` bytes."""
    with open(place / "others", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, free(place) - leave)


def get(layover, path):
    return layover.get(REGISTRY, f"{REPOSITORY}/{path}", timeout=60)


def results(layover):
    series = layover.metrics().series("layover_fills_total")
    return {result: count for result, count in series.items() if count}


def degraded(layover):
    return layover.metrics().value("layover_cache_degraded")


def test_a_disk_that_fills_up_fails_no_pull_and_is_used_again_later(layover, small_disk, site_a, upstream,
                                                                    random_bytes):
    stored = site_a.open.plant_blob(REPOSITORY, random_bytes(MIB))
    assert get(layover, f"blobs/{stored}").digest == stored
    layover.settle()

    # Full in the middle of a download that many read.
    occupy(small_disk, leave=20 * MIB)
    large = site_a.open.plant_blob(REPOSITORY, random_bytes(60 * MIB))
    upstream.bytes_per_second = 30 * MIB  # so that all of them are there before it ends
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: get(layover, f"blobs/{large}"), range(8)))
    upstream.bytes_per_second = None
    assert {(answer.status, answer.digest) for answer in answers} == {(200, large)}
    layover.settle()
    assert degraded(layover) == 1
    assert results(layover)["disk_error"] >= 1
    assert not layover.partial_files()
    assert large not in layover.stored_files()

    # Full for good: no byte can be written.
    (small_disk / "others").unlink()
    wait_until(lambda: free(small_disk) > 60 * MIB, "the room of the partial file is free")
    occupy(small_disk, leave=0)
    image = site_a.open.plant_image(REPOSITORY, "1.0", [random_bytes(100_000), random_bytes(5 * MIB)])
    for _ in range(2):
        assert get(layover, "manifests/1.0").body == image.manifest
        for digest, content in image.blobs.items():
            answer = get(layover, f"blobs/{digest}")
            assert (answer.status, answer.body) == (200, content)
    assert get(layover, f"blobs/{stored}").cache == "HIT"
    assert degraded(layover) == 1
    told = [line for line in layover.output().splitlines() if "cannot store: " in line]
    assert len(told) == 1 and str(small_disk) in told[0]

    # Room again, without a restart.
    (small_disk / "others").unlink()
    for path in ("manifests/1.0", f"blobs/{large}", *(f"blobs/{digest}" for digest in image.blobs)):
        assert get(layover, path).status == 200
    layover.settle()
    assert degraded(layover) == 0
    assert {large, image.digest, *image.blobs} <= set(layover.stored_files())
    assert get(layover, f"blobs/{large}").cache == "HIT"
    assert sum("can store again" in line for line in layover.output().splitlines()) == 1
