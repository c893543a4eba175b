"""podman and buildah pull through layover as the mirror of a registry, by a registries.conf. The way to the
registry itself is closed, so that a pull that by-passes layover fails and is seen."""

import pytest

from tests.support.four_pulls import pull_four_times
from tests.support.podman import Podman
from tests.support.processes import free_port

REGISTRY = "registry-a.test"
ITSELF = "registry-a.test:443"


@pytest.fixture
def podman(layover, seeded, way_out, short_directory):
    engine = Podman(short_directory, REGISTRY, layover.port, way_out.environment)
    yield engine
    engine.stop()


@pytest.mark.parametrize("name", ["app", "multi"])
def test_blobs_are_fetched_from_upstream_once_and_never_again(name, layover, upstream, seeded, podman, way_out,
                                                              architecture):
    layout = getattr(seeded, name)
    expected = layout.of_platform(architecture)

    def pull():
        podman.pull(f"{REGISTRY}/public/{name}:1.0")
        image = podman.image(f"{REGISTRY}/public/{name}:1.0")
        assert f"sha256:{image['Id']}" == expected.config
        assert f"{REGISTRY}/public/{name}@{layout.digest}" in image["RepoDigests"]
        assert image["RootFS"]["Layers"] == expected.diff_ids
        podman.forget()
        layover.settle()

    pull_four_times(pull, layover, upstream, REGISTRY, expected.blobs)
    assert way_out.hosts() == set()


def test_a_container_runs_from_what_was_pulled(layover, upstream, podman):
    image = f"{REGISTRY}/public/app:1.0"
    podman.pull(image)
    assert podman.run(image) == "hello from registry A\n"

    podman.forget()
    layover.settle()
    with upstream.stopped():
        podman.pull(image)
    assert podman.run(image) == "hello from registry A\n"


def test_an_image_is_pulled_by_digest_too(podman, seeded, architecture):
    name = f"{REGISTRY}/public/app@{seeded.app.digest}"
    podman.pull(name)
    assert f"sha256:{podman.image(name)['Id']}" == seeded.app.of_platform(architecture).config


def test_buildah_builds_on_an_image_that_it_pulls_through_layover(layover, upstream, seeded, podman, way_out):
    image = f"{REGISTRY}/public/app:1.0"
    assert podman.build_from(image, "/bin/hello") == "hello from registry A\n"
    fetched = [r.reference for r in upstream.requests(method="GET", kind="blobs", status=200)]
    assert sorted(fetched) == sorted(seeded.app.blob_digests())

    podman.forget()
    layover.settle()
    upstream.forget()
    layover.restart()
    with upstream.stopped():
        assert podman.build_from(image, "/bin/hello") == "hello from registry A\n"
    assert upstream.requests(kind="blobs") == []
    assert way_out.hosts() == set()


def test_skopeo_goes_by_the_same_file(podman, seeded, way_out, tmp_path):
    podman.copy_by_skopeo(f"{REGISTRY}/public/app:1.0", tmp_path / "copy")
    files = {f"sha256:{path.name}" for path in (tmp_path / "copy" / "blobs" / "sha256").iterdir()}
    assert files == seeded.app.digests()
    assert way_out.hosts() == set()


def test_without_layover_it_asks_the_registry_itself(layover, podman, way_out):
    layover.stop()
    assert podman.pull(f"{REGISTRY}/public/app:1.0", check=False).returncode != 0
    assert way_out.hosts() == {ITSELF}


def test_where_layover_cannot_reach_upstream_it_asks_the_registry_itself(upstream, podman, way_out):
    with upstream.stopped():
        assert podman.pull(f"{REGISTRY}/public/app:1.0", check=False).returncode != 0
    assert way_out.hosts() == {ITSELF}


def test_where_a_blob_fails_the_pull_fails_since_the_mirror_is_chosen_at_the_manifest(upstream, podman, way_out):
    upstream.redirect_blobs = lambda path, query: f"https://127.0.0.1:{free_port()}{path}"
    assert podman.pull(f"{REGISTRY}/public/app:1.0", check=False).returncode != 0
    assert upstream.requests(method="GET", kind="manifests", status=200), "the manifest came by layover"
    assert way_out.hosts() == set()
