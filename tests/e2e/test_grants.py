"""A blob that lies in the cache is served under a repository only where upstream lets that repository have
it: otherwise the client gets upstream's status and not a byte, whatever way it asks."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.processes import wait_until
from tests.support.recording_proxy import Hold
from tests.support.registry import digest_of

REGISTRY = "registry-a.test"
OWNER, OTHER = "public/owner", "public/other"
MANIFEST = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
WAYS = {
    "get": {},
    "range": {"headers": {"Range": "bytes=0-99"}},
    "last bytes": {"headers": {"Range": "bytes=-100"}},
    "if-none-match": {"headers": {"If-None-Match": "*"}},
    "head": {"method": "HEAD"},
}


@pytest.fixture(params=WAYS, ids=lambda name: name.replace(" ", "-"))
def way(request):
    return WAYS[request.param]


@pytest.fixture(params=[200_000, 5_000], ids=["large", "small"])
def secret(request, site_a, random_bytes):
    """The content of a blob that upstream has under the owner's repository alone."""
    content = random_bytes(request.param)
    site_a.open.plant_blob(OWNER, content)
    return content


def blob(repository, content):
    return f"{repository}/blobs/{digest_of(content)}"


def leaks(answer, content):
    """Whether any bytes of the content, or its size as a body's, are in an answer."""
    return answer.status in (200, 206, 304) or content[:16] in answer.body or content[-16:] in answer.body


@pytest.mark.parametrize("status", [403, 404, 401])
def test_upstreams_refusal_is_passed_on_without_a_byte(layover, upstream, secret, way, status):
    assert layover.get(REGISTRY, blob(OWNER, secret)).body == secret
    upstream.refusals[OTHER] = status

    answer = layover.get(REGISTRY, blob(OTHER, secret), **way)

    assert answer.status == status
    assert not leaks(answer, secret)
    assert "WWW-Authenticate" not in answer.headers, "upstream's challenge is no business of our clients"
    assert upstream.requests(method="GET", repository=OWNER, status=200) != []
    assert upstream.requests(method="GET", repository=OTHER, status=200) == []


def test_a_real_registrys_missing_blob_is_a_404(layover, upstream, secret, way):
    layover.get(REGISTRY, blob(OWNER, secret))
    assert layover.get(REGISTRY, blob(OTHER, secret), **way).status == 404


def test_a_real_registrys_missing_access_is_a_401(layover, site_a, secret, way):
    site_a.open.plant_blob("private/other", secret)
    layover.get(REGISTRY, blob(OWNER, secret))
    answer = layover.get(REGISTRY, blob("private/other", secret), **way)
    assert answer.status == 401
    assert not leaks(answer, secret)


@pytest.mark.parametrize("status", [403, 404])
def test_a_running_download_is_not_joined_without_access(layover, upstream, site_a, random_bytes, way, status):
    content = random_bytes(3_000_000)
    digest = site_a.open.plant_blob(OWNER, content)
    upstream.refusals[OTHER] = status
    hold = upstream.holds[digest] = Hold(2_000_000)
    with ThreadPoolExecutor() as pool:
        owner = pool.submit(layover.get, REGISTRY, blob(OWNER, content))
        assert hold.reached.wait(10)
        answer = layover.get(REGISTRY, blob(OTHER, content), **way)
        hold.release()
        assert owner.result().body == content
    assert answer.status == status
    assert not leaks(answer, content)


def test_an_outage_opens_no_door(layover, upstream, secret, way):
    assert layover.get(REGISTRY, blob(OWNER, secret)).body == secret
    layover.settle()
    with upstream.stopped():
        answer = layover.get(REGISTRY, blob(OTHER, secret), **way)
        assert layover.get(REGISTRY, blob(OWNER, secret)).body == secret, "who has access keeps it"
    assert answer.status in (502, 504)
    assert not leaks(answer, secret)


@pytest.fixture
def with_claimant(start_layover, site_a, site_b, upstream, upstream_b):
    return start_layover({site_a.name: site_a.settings(upstream), site_b.name: site_b.settings(upstream_b)})


def test_another_registrys_claim_opens_no_door(with_claimant, upstream_b, secret, way):
    """Registry B answers any HEAD with 200, but has nothing to send: a HEAD proves no possession."""
    assert with_claimant.get(REGISTRY, blob(OWNER, secret)).body == secret
    upstream_b.claims[digest_of(secret)] = len(secret)
    for _ in range(2):
        answer = with_claimant.get("registry-b.test", blob(OTHER, secret), **way)
        if way.get("method") == "HEAD":
            assert answer.body == b""
        else:
            assert answer.status == 404
            assert not leaks(answer, secret)
    # Not even after a HEAD that succeeded.
    with_claimant.get("registry-b.test", blob(OTHER, secret), method="HEAD")
    assert with_claimant.get("registry-b.test", blob(OTHER, secret)).status == 404


def test_another_registrys_claim_does_not_join_a_download(with_claimant, upstream, upstream_b, site_a, random_bytes):
    content = random_bytes(3_000_000)
    digest = site_a.open.plant_blob(OWNER, content)
    upstream_b.claims[digest] = len(content)
    hold = upstream.holds[digest] = Hold(2_000_000)
    with ThreadPoolExecutor() as pool:
        owner = pool.submit(with_claimant.get, REGISTRY, blob(OWNER, content))
        assert hold.reached.wait(10)
        answer = with_claimant.get("registry-b.test", blob(OTHER, content))
        hold.release()
        assert owner.result().body == content
    assert answer.status == 404
    assert not leaks(answer, content)


def test_access_taken_away_ends_with_the_grant(start_layover, site_a, upstream, secret):
    layover = start_layover({site_a.name: site_a.settings(upstream)}, {"defaults": {"grant_ttl": "1s"}})
    assert layover.get(REGISTRY, blob(OWNER, secret)).body == secret
    upstream.refusals[OWNER] = 403

    def is_refused():
        return layover.get(REGISTRY, blob(OWNER, secret)).status == 403

    wait_until(is_refused, "the grant is confirmed again, and lost", 10, every=0.2)
    assert not leaks(layover.get(REGISTRY, blob(OWNER, secret)), secret)


def test_a_repository_with_access_shares_the_stored_bytes(layover, upstream, site_a, secret):
    layover.get(REGISTRY, blob(OWNER, secret))
    site_a.open.plant_blob(OTHER, secret)
    answer = layover.get(REGISTRY, blob(OTHER, secret))
    assert (answer.status, answer.body) == (200, secret)
    assert upstream.count(method="GET", reference=digest_of(secret)) == 1
    assert upstream.count(method="HEAD", reference=digest_of(secret), repository=OTHER) == 1, "a HEAD is enough"
    # The grant is in the index a moment after the answer; from then on, upstream is not asked.
    wait_until(lambda: layover.get(REGISTRY, blob(OTHER, secret)).cache == "HIT", "the grant is stored")
    upstream.forget()
    assert layover.get(REGISTRY, blob(OTHER, secret)).body == secret
    assert upstream.requests() == []


@pytest.mark.parametrize("status", [403, 404, 401])
def test_a_manifest_needs_access_too(layover, upstream, site_a, random_bytes, status):
    image = site_a.open.plant_image(OWNER, "tag", [random_bytes(100)])
    assert layover.get(REGISTRY, f"{OWNER}/manifests/{image.digest}", headers=MANIFEST).body == image.manifest
    upstream.refusals[OTHER] = status
    for path in (f"{OTHER}/manifests/{image.digest}", f"{OTHER}/blobs/{image.digest}"):
        for method in ("GET", "HEAD"):
            answer = layover.get(REGISTRY, path, method, MANIFEST)
            assert answer.status == status
            assert not leaks(answer, image.manifest)


def test_a_manifest_grants_nothing_of_what_it_lists(layover, upstream, site_a, secret, random_bytes):
    """Whoever can push a manifest that names a digest could read the blob otherwise."""
    config = site_a.open.plant_blob(OTHER, b"{}")
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": MANIFEST["Accept"],
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest_of(secret),
                    "size": len(secret)}]}).encode()
    site_a.open.plant_blob(OTHER, secret)   # the registry checks that a manifest's blobs are there
    site_a.open.plant_manifest(OTHER, "lists-it", manifest, MANIFEST["Accept"])
    layover.get(REGISTRY, blob(OWNER, secret))
    assert layover.get(REGISTRY, f"{OTHER}/manifests/lists-it", headers=MANIFEST).status == 200
    upstream.refusals[OTHER] = 403
    assert layover.get(REGISTRY, blob(OTHER, secret)).status == 403
