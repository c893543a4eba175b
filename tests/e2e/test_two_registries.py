"""Two registries hold different images under one name. Whichever way a client names the registry, it
gets that registry's image, and what one has never appears under the other."""

from urllib.parse import quote

import pytest

from tests.support import http_client

WITH_PORT = "registry-b.test:5443"  # a second name of B, which `ns` carries as registry-b.test%3A5443
MANIFEST = {"Accept": "application/vnd.oci.image.manifest.v1+json"}


@pytest.fixture
def both(start_layover, site_a, site_b, upstream, upstream_b, seeded):
    return start_layover({site_a.name: site_a.settings(upstream), site_b.name: site_b.settings(upstream_b),
                          WITH_PORT: site_b.settings(upstream_b)}, default_registry=site_a.name)


def ask_by_ns(layover, registry, path):
    return http_client.fetch(layover.raw_url(f"/v2/{path}?ns={quote(registry, safe='')}"), headers=MANIFEST)


def test_skopeo_names_the_registry_in_the_path(both, seeded, skopeo):
    from_a = skopeo.copy(f"127.0.0.1:{both.port}/registry-a.test/public/app:1.0")
    from_b = skopeo.copy(f"127.0.0.1:{both.port}/registry-b.test/public/app:1.0")
    assert (from_a.top, from_a.digests) == (seeded.app.digest, seeded.app.digests())
    assert (from_b.top, from_b.digests) == (seeded.app_of_b.digest, seeded.app_of_b.digests())


def test_containerd_names_the_registry_in_ns(both, seeded, containerd):
    for registry, greeting in (("registry-a.test", "hello from registry A\n"),
                               ("registry-b.test", "hello from registry B\n"),
                               (WITH_PORT, "hello from registry B\n")):
        containerd.mirror(registry, both.port)
        containerd.pull(f"{registry}/public/app:1.0")
        assert containerd.run(f"{registry}/public/app:1.0") == greeting


def test_the_answer_says_which_registry_ns_meant(both, seeded):
    for registry, digest in (("registry-a.test", seeded.app.digest), ("registry-b.test", seeded.app_of_b.digest),
                             (WITH_PORT, seeded.app_of_b.digest)):
        answer = ask_by_ns(both, registry, "public/app/manifests/1.0")
        assert (answer.status, answer.digest) == (200, digest)
        assert answer.headers["OCI-Namespace"] == registry


def test_ns_counts_before_the_default_registry(both, seeded):
    url = f"http://127.0.0.1:{both.default_port}/v2/public/app/manifests/1.0"
    assert http_client.fetch(url, headers=MANIFEST).digest == seeded.app.digest
    assert http_client.fetch(url + "?ns=registry-b.test", headers=MANIFEST).digest == seeded.app_of_b.digest


def test_one_registrys_content_is_unknown_in_the_other(both, seeded):
    assert ask_by_ns(both, "registry-b.test", "public/app/manifests/1.0").status == 200
    only_b = seeded.app_of_b.blob_digests() - seeded.app.blob_digests()
    for digest in only_b:
        assert ask_by_ns(both, "registry-b.test", f"public/app/blobs/{digest}").status == 200
        assert ask_by_ns(both, "registry-a.test", f"public/app/blobs/{digest}").status == 404
    manifest = f"public/app/manifests/{seeded.app_of_b.digest}"
    assert ask_by_ns(both, "registry-a.test", manifest).status == 404


def test_a_blob_that_both_have_is_delivered_by_each_and_stored_once(both, site_a, site_b, upstream, upstream_b,
                                                                    random_bytes):
    content = random_bytes(150_000)
    digest = site_a.open.plant_blob("public/same", content)
    site_b.open.plant_blob("public/same", content)
    for registry, proxy in (("registry-a.test", upstream), ("registry-b.test", upstream_b)):
        answer = both.get(registry, f"public/same/blobs/{digest}")
        assert (answer.status, answer.body) == (200, content)
        assert proxy.count(method="GET", reference=digest) == 1, "each registry proves that it has the bytes"
    both.settle()
    assert list(both.stored_files()) == [digest]


@pytest.mark.parametrize("registry", ["registry-c.test", "127.0.0.1", "169.254.169.254", "localhost:22", "a\r\nb"])
def test_a_registry_that_is_not_listed_is_refused(both, registry, upstream):
    answer = ask_by_ns(both, registry, "public/app/manifests/1.0")
    assert answer.status in (400, 403), answer.body
    assert answer.error_codes()[0] in ("DENIED", "NAME_INVALID")
    assert upstream.requests() == []


def test_the_refusal_says_what_to_add_to_the_configuration(both):
    answer = both.get("registry-c.test", "public/app/manifests/1.0")
    assert answer.status == 403
    assert answer.error_codes() == ["DENIED"]
    assert b"registry-c.test" in answer.body and b"registries" in answer.body
    assert both.metrics().value("layover_access_denied_total", reason="registry") == 1
