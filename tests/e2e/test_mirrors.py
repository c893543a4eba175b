"""A registry with a mirror, both real and over TLS: engines pull through layover from either, whichever is up."""

import pytest

IMAGE = "registry-a.test/public/app:1.0"


@pytest.fixture
def mirror(site_a):
    """The same content as the registry's, for everybody."""
    proxy = site_a.upstream_without_tokens()
    yield proxy
    proxy.stop()


def with_mirror(site_a, upstream, mirror, *capabilities):
    settings = site_a.settings(upstream)
    entry = {"url": mirror.url, "ca_file": settings["ca_file"], "capabilities": ["pull", *capabilities]}
    return {site_a.name: {**settings, "mirrors": [entry]}}


def blobs_got(proxy):
    return [request for request in proxy.requests() if request.method == "GET" and "/blobs/" in request.path]


def test_content_comes_from_the_mirror_and_tags_from_the_registry(start_layover, site_a, upstream, mirror, seeded,
                                                                  skopeo):
    layover = start_layover(with_mirror(site_a, upstream, mirror))
    pulled = skopeo.copy(f"127.0.0.1:{layover.port}/{IMAGE}")
    assert (pulled.top, pulled.digests) == (seeded.app.digest, seeded.app.digests())
    assert {request.path.rsplit("/", 1)[-1] for request in blobs_got(mirror)} == seeded.app.blob_digests()
    assert blobs_got(upstream) == []
    assert not any(request.path.endswith("/manifests/1.0") for request in mirror.requests())


def test_a_dead_mirror_costs_a_pull_nothing_but_a_moment(start_layover, site_a, upstream, mirror, seeded, containerd):
    mirror.stop()
    layover = start_layover(with_mirror(site_a, upstream, mirror, "resolve"))
    containerd.mirror(site_a.name, layover.port)
    containerd.pull(IMAGE)
    assert containerd.run(IMAGE) == "hello from registry A\n"
    errors = layover.metrics().value("layover_upstream_errors_total", registry=site_a.name, reason="connect")
    assert errors <= 3, "it is passed over once it is known, but for requests that were on their way"


def test_a_pull_without_the_registry(start_layover, site_a, upstream, mirror, seeded, skopeo):
    upstream.stop()
    layover = start_layover(with_mirror(site_a, upstream, mirror, "resolve"))
    pulled = skopeo.copy(f"127.0.0.1:{layover.port}/{IMAGE}")
    assert (pulled.top, pulled.digests) == (seeded.app.digest, seeded.app.digests())
