"""containerd pulls for Kubernetes, through its CRI plugin, with layover as the mirror of a registry in
config_path. The way to the registry itself is closed, so that what by-passes layover fails and is seen."""

import pytest

from tests.support.cri import Cri, CriError
from tests.support.four_pulls import pull_four_times
from tests.support.processes import free_port

REGISTRY = "registry-a.test"
ITSELF = "registry-a.test:443"


@pytest.fixture
def cri(layover, seeded, way_out, short_directory):
    engine = Cri(short_directory, way_out.environment)
    engine.mirror(REGISTRY, layover.port)
    yield engine
    engine.stop()


@pytest.mark.parametrize("name", ["app", "multi"])
def test_blobs_are_fetched_from_upstream_once_and_never_again(name, layover, upstream, seeded, cri, way_out,
                                                              architecture):
    layout = getattr(seeded, name)
    expected = layout.of_platform(architecture)
    image = f"{REGISTRY}/public/{name}:1.0"

    def pull():
        assert cri.pull(image) == expected.config
        assert cri.content_digests() == {layout.digest, expected.digest, *expected.blobs}
        cri.forget(image)
        layover.settle()

    pull_four_times(pull, layover, upstream, REGISTRY, expected.blobs)
    assert way_out.hosts() == set()


def test_a_container_runs_from_what_was_pulled(cri):
    cri.pull(f"{REGISTRY}/public/app:1.0")
    assert cri.run(f"{REGISTRY}/public/app:1.0") == "hello from registry A\n"


def test_without_layover_it_asks_the_registry_itself(layover, cri, way_out):
    layover.stop()
    with pytest.raises(CriError):
        cri.pull(f"{REGISTRY}/public/app:1.0")
    assert way_out.hosts() == {ITSELF}


def test_where_layover_cannot_reach_upstream_it_asks_the_registry_itself(upstream, cri, way_out):
    with upstream.stopped(), pytest.raises(CriError):
        cri.pull(f"{REGISTRY}/public/app:1.0")
    assert way_out.hosts() == {ITSELF}


def test_where_a_blob_fails_it_asks_the_registry_itself_for_that_blob(upstream, cri, way_out):
    upstream.redirect_blobs = lambda path, query: f"https://127.0.0.1:{free_port()}{path}"
    with pytest.raises(CriError):
        cri.pull(f"{REGISTRY}/public/app:1.0")
    assert upstream.requests(method="GET", kind="manifests", status=200), "the manifest came by layover"
    assert way_out.hosts() == {ITSELF}
