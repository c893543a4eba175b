"""skopeo pulls every kind of image through layover, from a registry behind TLS and tokens; what was
pulled once costs upstream no blob again: not the second time, not after a restart, not in an outage."""

import pytest

from tests.support import http_client
from tests.support.four_pulls import pull_four_times


def by_path(layover, registry, name):
    return f"127.0.0.1:{layover.port}/{registry}/{name}"


@pytest.mark.parametrize("image", ["app", "multi", "helm", "big"])
def test_blobs_are_fetched_from_upstream_once_and_never_again(image, layover, upstream, seeded, skopeo):
    source = by_path(layover, "registry-a.test", f"public/{image}:1.0")
    expected = getattr(seeded, image)
    blobs = expected.blob_digests()

    def pull():
        copied = skopeo.copy(source)
        assert copied.top == expected.digest
        assert copied.digests == expected.digests()
        layover.settle()

    pull_four_times(pull, layover, upstream, "registry-a.test", blobs)


def test_the_default_registry_needs_no_name_in_the_path(layover, seeded, skopeo):
    copied = skopeo.copy(f"127.0.0.1:{layover.default_port}/public/app:1.0")
    assert copied.top == seeded.app.digest
    assert copied.digests == seeded.app.digests()


def test_an_image_is_pulled_by_digest_too(layover, upstream, seeded, skopeo):
    source = by_path(layover, "registry-a.test", f"public/app@{seeded.app.digest}")
    assert skopeo.copy(source).digests == seeded.app.digests()
    layover.settle()
    upstream.forget()
    with upstream.stopped():
        assert skopeo.copy(source).digests == seeded.app.digests()
    assert upstream.requests() == [], "what a digest names never goes stale"


def test_a_manifest_arrives_with_the_headers_that_engines_need(layover, seeded):
    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    for method in ("HEAD", "GET", "HEAD", "GET"):
        answer = layover.get("registry-a.test", "public/app/manifests/1.0", method, accept)
        assert answer.status == 200
        assert answer.headers["Docker-Content-Digest"] == seeded.app.digest
        assert answer.headers["Content-Type"] == "application/vnd.oci.image.manifest.v1+json"
        assert answer.headers["ETag"] == f'"{seeded.app.digest}"'
        assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
        assert int(answer.headers["Content-Length"]) > 0
        if method == "GET":
            assert answer.digest == seeded.app.digest
            assert len(answer.body) == int(answer.headers["Content-Length"])


def test_a_blob_arrives_with_the_headers_that_engines_need(layover, site_a, random_bytes):
    content = random_bytes(200_000)
    digest = site_a.open.plant_blob("public/headers", content)
    path = f"public/headers/blobs/{digest}"
    for cache in ("MISS", "HIT"):
        answer = layover.get("registry-a.test", path)
        assert (answer.status, answer.body, answer.cache) == (200, content, cache)
        assert answer.headers["Content-Length"] == str(len(content))
        assert answer.headers["Docker-Content-Digest"] == digest
        assert answer.headers["ETag"] == f'"{digest}"'
        assert answer.headers["Accept-Ranges"] == "bytes"
        layover.settle()
    part = layover.get("registry-a.test", path, headers={"Range": "bytes=1000-1999"})
    assert (part.status, part.body) == (206, content[1000:2000])
    assert part.headers["Content-Range"] == f"bytes 1000-1999/{len(content)}"


def test_a_range_of_a_blob_that_is_not_there_yet_is_answered_like_a_hit(layover, upstream, site_a, random_bytes):
    content = random_bytes(3_000_000)
    digest = site_a.open.plant_blob("public/range", content)
    part = layover.get("registry-a.test", f"public/range/blobs/{digest}", headers={"Range": "bytes=2000000-"})
    assert (part.status, part.body) == (206, content[2_000_000:])
    whole = layover.get("registry-a.test", f"public/range/blobs/{digest}")
    assert whole.body == content
    assert upstream.count(method="GET", reference=digest) == 1


def test_an_uncached_blobs_head_costs_upstream_no_body(layover, upstream, site_a, random_bytes):
    content = random_bytes(100_000)
    digest = site_a.open.plant_blob("public/head", content)
    answer = layover.get("registry-a.test", f"public/head/blobs/{digest}", "HEAD")
    assert (answer.status, answer.headers["Content-Length"]) == (200, str(len(content)))
    assert answer.headers["Docker-Content-Digest"] == digest
    assert upstream.requests(method="GET", kind="blobs") == []


def test_what_upstream_does_not_have_is_not_found(layover, seeded):
    missing = f"sha256:{0:064x}"
    for path in (f"public/app/blobs/{missing}", "public/app/manifests/no-such-tag",
                 f"public/app/manifests/{missing}", "public/no-such-repository/manifests/1.0"):
        answer = layover.get("registry-a.test", path)
        assert answer.status == 404, path
        assert answer.error_codes(), "an error is JSON as the specification has it"


def test_a_clients_ping_is_answered_by_layover_itself(layover, upstream):
    answer = http_client.fetch(layover.raw_url("/v2/"))
    assert answer.status == 200
    assert upstream.requests() == []
