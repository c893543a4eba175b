"""Upstreams that break in the middle of a download: clients and engines have the whole of it all the same, and
upstream is asked only for what is missing."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.http_client import OpenDownload
from tests.support.processes import wait_until
from tests.support.recording_proxy import Corruption, Hold
from tests.support.token_server import token_claims

REGISTRY = "registry-a.test"
SIZE = 8_000_000


@pytest.fixture
def blob(site_a, random_bytes):
    """A content with its digest."""
    content = random_bytes(SIZE)
    return content, site_a.open.plant_blob("public/breaking", content)


def sent(upstream, digest):
    """Bytes of this blob that have left upstream."""
    return sum(request.sent for request in upstream.requests(method="GET", reference=digest))


def test_an_engine_pulls_an_image_of_which_every_blob_breaks_off_once(layover, upstream, skopeo, seeded):
    digests = seeded.app.blob_digests()
    for digest in digests:
        upstream.corruptions[digest] = Corruption(cut=0.4, is_once=True)
    pulled = skopeo.copy(f"127.0.0.1:{layover.port}/{REGISTRY}/public/app:1.0")
    assert pulled.digests >= seeded.app.digests()
    layover.settle()
    assert digests <= set(layover.stored_files())
    assert upstream.corruptions == {}, "each of them has broken off"
    for digest in digests:
        first, second = upstream.requests(method="GET", reference=digest, kind="blobs")[-2:]
        assert (first.range, second.range) == (None, f"bytes={first.sent}-")
    assert layover.metrics().value("layover_fills_total", result="committed") == len(seeded.app.digests())


def test_an_upstream_that_restarts_costs_its_clients_a_pause(layover, upstream, blob):
    content, digest = blob
    hold = upstream.holds[digest] = Hold(SIZE // 2)
    url = layover.url(REGISTRY, f"public/breaking/blobs/{digest}")
    downloads = [OpenDownload(url) for _ in range(3)]
    hold.reached.wait(10)
    with upstream.stopped():   # which lets the body go on, into a connection that is cut
        upstream.holds.clear()
    with ThreadPoolExecutor() as pool:
        bodies = list(pool.map(lambda download: download.response.read(), downloads))
    assert bodies == [content] * 3
    assert sent(upstream, digest) < SIZE * 1.3, "it did not start over"
    layover.settle()
    assert layover.get(REGISTRY, f"public/breaking/blobs/{digest}").cache == "HIT"


def test_a_token_that_expires_in_the_middle_is_renewed(layover, upstream, token_server, blob):
    content, digest = blob
    upstream.corruptions[digest] = Corruption(cut=0.5, is_once=True)
    upstream.refuses_expired_tokens = True
    token_server.lifetime = 2
    hold = upstream.holds[digest] = Hold(SIZE // 4)
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(layover.get, REGISTRY, f"public/breaking/blobs/{digest}")
        assert hold.reached.wait(10)
        [used] = upstream.requests(method="GET", reference=digest, status=200)
        expires = token_claims(used.authorization.removeprefix("Bearer "))["exp"]
        wait_until(lambda: time.time() > expires, "the token has expired")
        hold.release()
        assert answer.result().body == content
    tokens = {request.authorization for request in upstream.requests(method="GET", reference=digest)}
    assert len(tokens - {None}) == 2
