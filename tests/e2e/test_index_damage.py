"""Whatever becomes of the index: layover starts, at most one process dies of it, stored files are served again
after a HEAD, and a copy of the index spares that too. A full disk can be evicted from."""

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.layover import Layover
from tests.support.processes import wait_until

REGISTRY, REPOSITORY = "registry-a.test", "public/damaged"
MANIFEST = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
META_PAGES = 2 * 4096


@pytest.fixture
def image(site_a, random_bytes):
    """What has a copy in `small/` as well, and what has only its file."""
    return site_a.open.plant_image(REPOSITORY, "1.0", [random_bytes(3_000), random_bytes(90_000),
                                                       random_bytes(1_000_000)])


def pull(layover, image):
    """Every byte is right; gives what layover says of where each came from."""
    wanted = [(f"manifests/{image.tag}", image.manifest)]
    wanted += [(f"blobs/{digest}", content) for digest, content in image.blobs.items()]
    found = []
    for path, content in wanted:
        answer = layover.get(REGISTRY, f"{REPOSITORY}/{path}", headers=MANIFEST)
        assert (answer.status, answer.body) == (200, content), path
        found.append(answer.cache)
    return found


def index_file(layover):
    return layover.cache_path / "index" / "data.mdb"


def remove_copy(layover):
    (layover.cache_path / "index.copy").unlink(missing_ok=True)


def objects(layover):
    return layover.metrics().value("layover_cache_objects")


def fill_pages_with_garbage(layover):
    with open(index_file(layover), "r+b") as file:
        size = file.seek(0, 2)
        file.seek(META_PAGES)
        file.write(random.Random(7).randbytes(size - META_PAGES))


def cut_off(layover):
    with open(index_file(layover), "r+b") as file:
        file.truncate(META_PAGES)


def cut_off_one_page(layover):
    with open(index_file(layover), "r+b") as file:
        file.truncate(file.seek(0, 2) - 4096)


def replace_by_garbage(layover):
    index_file(layover).write_bytes(random.Random(7).randbytes(100_000))


def change_version(layover):
    """LMDB's own, in both of its meta pages: after the page's head and the magic number."""
    with open(index_file(layover), "r+b") as file:
        for page in (0, 4096):
            file.seek(page + 16 + 4)
            file.write(b"\x07\0\0\0")


def empty(layover):
    index_file(layover).write_bytes(b"")


def replace_by_directory(layover):
    index_file(layover).unlink()
    index_file(layover).mkdir()


def replace_all_by_file(layover):
    shutil.rmtree(layover.cache_path / "index")
    (layover.cache_path / "index").write_text("no directory")


def fill_lock_with_garbage(layover):
    (layover.cache_path / "index" / "lock.mdb").write_bytes(random.Random(7).randbytes(10_000))


def replace_lock_by_directory(layover):
    lock = layover.cache_path / "index" / "lock.mdb"
    lock.unlink()
    lock.mkdir()


def damage_small(layover):
    with open(layover.cache_path / "small" / "data.mdb", "r+b") as file:
        size = file.seek(0, 2)
        file.seek(META_PAGES)
        file.write(random.Random(7).randbytes(size - META_PAGES))


HARMLESS = [fill_lock_with_garbage, replace_lock_by_directory]
DAMAGES = [fill_pages_with_garbage, cut_off, cut_off_one_page, replace_by_garbage, change_version, empty,
           replace_by_directory, replace_all_by_file, damage_small, *HARMLESS]


def start_until_it_stays(layover, image):
    """Starts it again as a service manager would; gives how often it died of what it found."""
    for deaths in range(4):
        process = layover.launch()
        try:
            process.wait_until(layover.is_ready, "layover is ready")
            wait_until(lambda: objects(layover) >= 1 + len(image.blobs) or not layover.is_running,
                       "stored files are known again")
            pull(layover, image)
            layover.settle()
            return deaths
        except (OSError, RuntimeError):
            wait_until(lambda: not layover.is_running, "its end")
    raise AssertionError("layover dies at each start")


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_no_damage_keeps_it_from_serving(layover, image, damage):
    pull(layover, image)
    layover.settle()
    layover.stop()
    remove_copy(layover)
    damage(layover)
    deaths = start_until_it_stays(layover, image)
    assert deaths <= 1, "once a process has died of it, the next one knows"
    if damage in HARMLESS:
        assert set(pull(layover, image)[1:]) == {"HIT"}
        assert not list(layover.cache_path.glob("index.damaged-*"))
    layover.restart()
    assert set(pull(layover, image)[1:]) == {"HIT"}


def test_without_index_and_copy_blobs_are_served_from_their_files_after_a_head(layover, upstream, image):
    """The registry is a real one; no blob is downloaded twice."""
    pull(layover, image)
    layover.settle()
    layover.stop()
    remove_copy(layover)
    replace_by_garbage(layover)
    upstream.forget()
    layover.start()
    wait_until(lambda: objects(layover) == 1 + len(image.blobs), "the files are taken in again")
    found = pull(layover, image)
    assert set(found[1:]) == {"REVALIDATED"}
    for digest in image.blobs:
        assert [request.method for request in upstream.requests(reference=digest)] == ["HEAD"]
    assert "the index cannot be used" in layover.output()
    assert len(list(layover.cache_path.glob("index.damaged-*"))) == 1


def test_with_a_copy_of_the_index_upstream_is_not_even_asked(layover, upstream, image):
    pull(layover, image)
    layover.settle()
    layover.restart()   # an index without a copy is copied once it has been checked
    copy = layover.cache_path / "index.copy"
    wait_until(copy.exists, "the index is copied")
    layover.stop()
    replace_by_garbage(layover)
    with upstream.stopped():
        layover.start()
        assert set(pull(layover, image)) <= {"HIT", "STALE"}
    assert "the index's last copy is in use" in layover.output()
    assert not copy.exists() or copy.stat().st_size > META_PAGES


def test_the_indexes_set_aside_are_few(layover, image):
    for _ in range(4):
        pull(layover, image)
        layover.settle()
        layover.stop()
        remove_copy(layover)
        replace_by_garbage(layover)
        layover.start()
        wait_until(lambda: objects(layover) == 1 + len(image.blobs), "the files are taken in again")
    assert 1 <= len(list(layover.cache_path.glob("index.damaged-*"))) <= 2


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 48 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", place], check=True)
    yield place
    subprocess.run(["umount", place], check=True)


def free_bytes(place):
    return shutil.disk_usage(place).free


def fill_up(place):
    """To the last page, as somebody else's data would."""
    with open(place / "others", "ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    assert free_bytes(place) < 4096


def use_compact_index(layover):
    """Without a free page, so that the next transaction makes its file grow."""
    layover.restart()
    copy = layover.cache_path / "index.copy"
    wait_until(copy.exists, "the index is copied")
    layover.stop()
    copy.replace(index_file(layover))
    layover.start()


def test_a_full_disk_can_be_evicted_from(small_disk, tmp_path, site_a, upstream, random_bytes):
    """Somebody else fills the disk to its last byte. To evict, the index has to be written first."""
    entry = {site_a.name: site_a.settings(upstream)}
    layover = Layover(tmp_path / "layover", entry, {"cache": {"max_size": "48MiB", "min_free": "1MiB"}},
                      cache_path=small_disk / "cache")
    try:
        layover.start()
        ballast = small_disk / "cache" / "ballast"
        wait_until(ballast.exists, "blocks are reserved")
        contents = [random_bytes(1_000_000) for _ in range(12)]
        digests = [site_a.open.plant_blob(REPOSITORY, content) for content in contents]
        for digest, content in zip(digests[:11], contents):
            assert layover.get(REGISTRY, f"{REPOSITORY}/blobs/{digest}").body == content
        layover.settle()
        stored = objects(layover)
        use_compact_index(layover)
        fill_up(small_disk)
        # Who asks for room makes it: at the first request it may not be known yet that there is none.
        wait_until(lambda: layover.get(REGISTRY, f"{REPOSITORY}/blobs/{digests[11]}").cache == "HIT",
                   "new content is stored again")
        assert layover.get(REGISTRY, f"{REPOSITORY}/blobs/{digests[11]}").body == contents[11]
        layover.settle()
        assert objects(layover) < stored
        assert "kept for that are given up" in layover.output()
        Path(small_disk / "others").unlink()
        layover.restart()
        wait_until(ballast.exists, "blocks are reserved again")
    finally:
        layover.kill()


def test_it_starts_and_serves_hits_on_a_full_disk(small_disk, tmp_path, site_a, upstream, image):
    layover = Layover(tmp_path / "layover", {site_a.name: site_a.settings(upstream)},
                      {"cache": {"max_size": "48MiB", "min_free": "1KiB"}}, cache_path=small_disk / "cache")
    try:
        layover.start()
        pull(layover, image)
        layover.settle()
        layover.kill()
        fill_up(small_disk)
        layover.start()
        assert set(pull(layover, image)[1:]) == {"HIT"}
    finally:
        layover.kill()
