"""dockerd pulls Docker Hub's images through layover as its registry mirror. Docker Hub is a registry of
the test; the way to the real one is closed, so that a pull that by-passes layover fails and is seen."""

import pytest

from tests.support.dockerd import Dockerd
from tests.support.four_pulls import pull_four_times
from tests.support.processes import free_port

HUB = "registry-1.docker.io:443"


@pytest.fixture
def hub_mirror(start_layover, site_a, upstream, seeded):
    """layover, for which registry A is docker.io."""
    return start_layover({"docker.io": site_a.settings(upstream)})


@pytest.fixture
def dockerd(hub_mirror, way_out, short_directory):
    engine = Dockerd(short_directory, hub_mirror.port, way_out.environment)
    yield engine
    engine.stop()


@pytest.mark.parametrize("name", ["app", "multi"])
def test_blobs_are_fetched_from_upstream_once_and_never_again(name, hub_mirror, upstream, seeded, dockerd, way_out,
                                                              architecture):
    layout = getattr(seeded, name)
    expected = layout.of_platform(architecture)

    def pull():
        dockerd.pull(f"public/{name}:1.0")
        image = dockerd.image(f"public/{name}:1.0")
        assert image["Id"] == expected.config
        assert image["RepoDigests"] == [f"public/{name}@{layout.digest}"]
        assert image["RootFS"]["Layers"] == expected.diff_ids
        dockerd.forget(f"public/{name}:1.0")
        hub_mirror.settle()

    pull_four_times(pull, hub_mirror, upstream, "docker.io", expected.blobs)
    assert way_out.hosts() == set()


def test_an_official_image_is_pulled_by_its_short_name_and_runs(site_a, hub_mirror, upstream, seeded, dockerd, way_out):
    site_a.push(seeded.app, "library/hello:1.0")
    dockerd.pull("hello:1.0")
    assert dockerd.run("hello:1.0") == "hello from registry A\n"

    dockerd.forget("hello:1.0")
    hub_mirror.settle()
    with upstream.stopped():
        dockerd.pull("hello:1.0")
    assert dockerd.run("hello:1.0") == "hello from registry A\n"
    assert way_out.hosts() == set()


def test_an_image_is_pulled_by_digest_too(hub_mirror, upstream, seeded, dockerd, architecture):
    name = f"public/app@{seeded.app.digest}"
    dockerd.pull(name)
    assert dockerd.image(name)["Id"] == seeded.app.of_platform(architecture).config


def test_an_image_of_any_registry_is_pulled_by_its_name_in_the_path(hub_mirror, dockerd, seeded, way_out, architecture):
    name = f"127.0.0.1:{hub_mirror.port}/docker.io/public/app:1.0"
    dockerd.pull(name)
    assert dockerd.image(name)["Id"] == seeded.app.of_platform(architecture).config
    assert way_out.hosts() == set()


def test_without_layover_it_asks_docker_hub_itself(hub_mirror, dockerd, way_out):
    hub_mirror.stop()
    assert dockerd.pull("public/app:1.0", check=False).returncode != 0
    assert way_out.hosts() == {HUB}


def test_where_layover_cannot_reach_upstream_it_asks_docker_hub_itself(upstream, dockerd, way_out):
    with upstream.stopped():
        assert dockerd.pull("public/app:1.0", check=False).returncode != 0
    assert way_out.hosts() == {HUB}
    assert "Attempting next endpoint" in dockerd.output(), "which is what docs/engines.md tells to look for"


def test_where_a_blob_fails_it_asks_docker_hub_for_the_whole_image(upstream, dockerd, way_out):
    upstream.redirect_blobs = lambda path, query: f"https://127.0.0.1:{free_port()}{path}"
    assert dockerd.pull("public/app:1.0", check=False).returncode != 0
    assert upstream.requests(method="GET", kind="manifests", status=200), "the manifest came by layover"
    assert way_out.hosts() == {HUB}
