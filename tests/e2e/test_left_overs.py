"""A download that the end of layover cuts goes on after the next start, from what was on the disk."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.http_client import OpenDownload
from tests.support.processes import wait_until
from tests.support.recording_proxy import Hold

REGISTRY = "registry-a.test"
MIB = 1 << 20


@pytest.fixture
def layover(start_layover, site_a, upstream):
    return start_layover({site_a.name: site_a.settings(upstream)}, settings={"shutdown": {"grace": "0s"}})


def records(layover):
    return list((layover.cache_path / "fills").glob("*.record"))


def cut_off(layover, upstream, digest, offset, end):
    """Begins a download, which upstream stops at `offset`, and ends layover by `end()`."""
    hold = upstream.holds[digest] = Hold(offset)
    download = OpenDownload(layover.url(REGISTRY, f"public/large/blobs/{digest}"))
    assert hold.reached.wait(20)
    with ThreadPoolExecutor() as pool:
        received = pool.submit(download.response.read, offset // 2)
        assert len(received.result()) == offset // 2
    # Not before it has taken them out of its socket.
    wait_until(lambda: layover.metrics().value("layover_upstream_received_bytes_total", registry=REGISTRY) >= offset,
               "all that upstream has sent is received")
    end()
    upstream.holds.clear()
    hold.release()
    upstream.forget()


def resumed_at(upstream, digest):
    """Where the one request for the rest began."""
    [request] = upstream.requests(method="GET", reference=digest, kind="blobs", status=206)
    return int(re.fullmatch(r"bytes=(\d+)-\d*", request.range)[1])


def test_an_orderly_end_costs_no_more_than_what_was_in_hand(layover, upstream, site_a, random_bytes):
    size, offset = 60 * MIB, 40 * MIB
    content = random_bytes(size)
    digest = site_a.open.plant_blob("public/large", content)
    cut_off(layover, upstream, digest, offset, layover.stop)
    assert len(records(layover)) == 1
    layover.start()
    assert layover.get(REGISTRY, f"public/large/blobs/{digest}").body == content
    assert offset - 2 * MIB <= resumed_at(upstream, digest) <= offset
    layover.settle()
    assert layover.get(REGISTRY, f"public/large/blobs/{digest}").cache == "HIT"
    assert list((layover.cache_path / "fills").iterdir()) == []


def test_a_kill_costs_what_was_not_recorded_yet(layover, upstream, site_a, random_bytes):
    size, offset = 170 * MIB, 150 * MIB
    content = random_bytes(size)
    digest = site_a.open.plant_blob("public/large", content)

    def kill():
        wait_until(lambda: records(layover), "the download is recorded")
        layover.kill()

    cut_off(layover, upstream, digest, offset, kill)
    layover.start()
    assert layover.get(REGISTRY, f"public/large/blobs/{digest}").body == content
    assert 60 * MIB <= resumed_at(upstream, digest) <= offset


def test_a_partial_file_that_was_damaged_is_never_served_whole(layover, upstream, site_a, random_bytes):
    size, offset = 60 * MIB, 40 * MIB
    content = random_bytes(size)
    digest = site_a.open.plant_blob("public/large", content)
    cut_off(layover, upstream, digest, offset, layover.stop)
    partial = records(layover)[0].with_suffix("")
    with open(partial, "r+b") as file:
        file.seek(1_000_000)
        file.write(bytes(byte ^ 1 for byte in content[1_000_000:1_000_010]))
    layover.start()
    answers = [layover.get(REGISTRY, f"public/large/blobs/{digest}") for _ in range(2)]
    assert len(answers[0].body) < size, "its last byte is held back"
    assert answers[1].body == content
    assert records(layover) == []
