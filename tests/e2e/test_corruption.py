"""Upstream sends wrong bytes. No client receives such a blob whole, nothing of it is stored, the metrics
say so, and once upstream is well again, so is the blob."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.processes import wait_until
from tests.support.recording_proxy import (ANSWER_AFTER_THE_END, CUT_IN_THE_MIDDLE, FIRST_BYTE, LAST_BYTE,
                                           MIDDLE_BYTE, ONE_BYTE_LONG, ONE_BYTE_SHORT, Corruption)
from tests.support.registry import digest_of

FAULTS = {
    "first byte flipped": FIRST_BYTE,
    "middle byte flipped": MIDDLE_BYTE,
    "last byte flipped": LAST_BYTE,
    "one byte short": ONE_BYTE_SHORT,
    "one byte long": ONE_BYTE_LONG,
    "cut in the middle": CUT_IN_THE_MIDDLE,
    "a login page instead": Corruption(replace=b"<html>please log in</html>"),
}
SIZES = {"large": 3_000_000, "just over the verified-first limit": 65_537, "small": 20_000}
VERIFIED_FIRST = 65_536   # up to here, nothing is sent before the digest is known
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
BACK_OFF = 10             # seconds that a registry is not asked again for a blob it sent wrong


@pytest.fixture(params=FAULTS, ids=lambda name: name.replace(" ", "-"))
def fault(request):
    return FAULTS[request.param]


@pytest.fixture(params=SIZES, ids=lambda name: name.replace(" ", "-"))
def blob(request, site_a, random_bytes):
    content = random_bytes(SIZES[request.param])
    return site_a.open.plant_blob("public/corrupt", content), content


def failed_fills(metrics):
    return sum(metrics.value("layover_fills_total", result=r) for r in ("mismatch", "short", "upstream_error"))


def looks_whole(answer):
    """Whether the client would take this for the blob: a good status, and the body not cut short."""
    return answer.status in (200, 206) and answer.is_whole


def test_a_corrupt_blob_is_never_received_whole_and_never_stored(layover, upstream, blob, fault):
    digest, _ = blob
    upstream.corruptions[digest] = fault

    answer = layover.get("registry-a.test", f"public/corrupt/blobs/{digest}")

    assert not looks_whole(answer)
    if answer.status == 200:
        promised = int(answer.headers["Content-Length"])
        assert len(answer.body) < promised
        assert promised > VERIFIED_FIRST, "a small body is verified before its status line"
    else:
        assert answer.status == 502
        assert answer.error_codes()
        assert "Docker-Content-Digest" not in answer.headers and "ETag" not in answer.headers
    layover.settle()
    assert layover.stored_files() == {}
    metrics = layover.metrics()
    assert failed_fills(metrics) == 1
    assert metrics.value("layover_fills_total", result="committed") == 0
    if fault.flip is not None:
        assert metrics.value("layover_digest_mismatches_total", registry="registry-a.test") == 1
        assert metrics.value("layover_fills_total", result="mismatch") == 1
    assert metrics.value("layover_cache_objects", kind="blob") == 0


@pytest.mark.parametrize("range_header", ["bytes=-1", "bytes=2999999-", "bytes=1000000-"])
def test_the_last_byte_leaves_on_no_range(layover, upstream, site_a, random_bytes, range_header):
    content = random_bytes(3_000_000)
    digest = site_a.open.plant_blob("public/corrupt", content)
    upstream.corruptions[digest] = FIRST_BYTE
    answer = layover.get("registry-a.test", f"public/corrupt/blobs/{digest}", headers={"Range": range_header})
    assert not looks_whole(answer)
    assert layover.stored_files() == {}


def test_every_joined_client_is_cut_short(layover, upstream, site_a, random_bytes):
    content = random_bytes(3_000_000)
    digest = site_a.open.plant_blob("public/corrupt", content)
    upstream.corruptions[digest] = LAST_BYTE
    upstream.bytes_per_second = 3_000_000
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: layover.get("registry-a.test", f"public/corrupt/blobs/{digest}"), range(8)))
    assert not any(looks_whole(answer) for answer in answers)
    assert upstream.count(method="GET", reference=digest) == 1
    assert layover.stored_files() == {}


def test_a_healed_upstream_is_asked_again_after_a_pause_and_not_before(layover, upstream, site_a, random_bytes):
    """Engines retry at once: a hot loop of wrong downloads would be the answer, were there no pause."""
    blobs = {}
    for fault in FAULTS.values():
        content = random_bytes(100_000)
        digest = site_a.open.plant_blob("public/healed", content)
        blobs[digest] = content
        upstream.corruptions[digest] = fault

    def get(digest):
        return layover.get("registry-a.test", f"public/healed/blobs/{digest}")

    for digest, content in blobs.items():
        assert not looks_whole(get(digest))
    mismatched = [d for d in blobs if upstream.corruptions[d] is not CUT_IN_THE_MIDDLE]
    upstream.corruptions.clear()
    upstream.forget()
    for digest in mismatched:
        assert get(digest).status in (502, 503)
    assert upstream.requests(method="GET", kind="blobs") == [], "no second download within the pause"

    for digest, content in blobs.items():
        wait_until(lambda d=digest: get(d).status == 200, "the pause is over", BACK_OFF + 5, every=0.25)
        assert get(digest).body == content
    layover.settle()
    assert set(layover.stored_files()) == set(blobs)


@pytest.mark.parametrize("fault", [*FAULTS.values(), Corruption(replace=b'{"schemaVersion":2}')])
def test_a_manifest_with_other_bytes_than_its_digest_is_a_clean_error(layover, upstream, site_a, random_bytes, fault):
    image = site_a.open.plant_image("public/manifest", "tag", [random_bytes(100)])
    upstream.corruptions[image.digest] = fault
    answer = layover.get("registry-a.test", f"public/manifest/manifests/{image.digest}",
                         headers={"Accept": MANIFEST_TYPE})
    assert answer.status == 502
    assert answer.is_whole and answer.error_codes()
    assert "Docker-Content-Digest" not in answer.headers
    assert layover.stored_files() == {}
    assert layover.metrics().value("layover_cache_objects", kind="manifest") == 0


def test_a_tags_manifest_that_is_no_manifest_is_not_stored(layover, upstream, site_a, random_bytes):
    image = site_a.open.plant_image("public/portal", "latest", [random_bytes(100)])
    for reference in ("latest", image.digest):   # layover may ask by either
        upstream.corruptions[reference] = Corruption(replace=b"<html>please log in</html>")
    answer = layover.get("registry-a.test", "public/portal/manifests/latest", headers={"Accept": MANIFEST_TYPE})
    assert answer.status == 502
    assert layover.stored_files() == {}


def test_bytes_after_the_end_reach_nobody(layover, upstream, site_a, random_bytes):
    """A second answer behind a body is an attack on whoever uses the connection next."""
    first, second = random_bytes(100_000), random_bytes(100_000)
    for content in (first, second):
        digest = site_a.open.plant_blob("public/smuggled", content)
        upstream.corruptions[digest] = ANSWER_AFTER_THE_END
    for content in (first, second):
        answer = layover.get("registry-a.test", f"public/smuggled/blobs/{digest_of(content)}")
        assert (answer.status, answer.body) == (200, content)


def test_a_manifests_bytes_are_passed_on_untouched(layover, site_a, random_bytes):
    """White space, order and unknown fields are part of what the digest is of."""
    config = site_a.open.plant_blob("public/odd", b"{}")
    text = json.dumps({"x-unknown": [1, 2], "schemaVersion": 2, "mediaType": MANIFEST_TYPE, "layers": [],
                       "config": {"digest": config, "size": 2,
                                  "mediaType": "application/vnd.oci.image.config.v1+json"}}, indent=7).encode()
    text += b"\n\n"
    site_a.open.plant_manifest("public/odd", "tag", text, MANIFEST_TYPE)
    for _ in range(2):
        answer = layover.get("registry-a.test", "public/odd/manifests/tag", headers={"Accept": MANIFEST_TYPE})
        assert answer.body == text
