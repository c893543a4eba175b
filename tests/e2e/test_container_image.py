"""The container image runs as docker/compose.yaml has it run: no root, no capability, no file system to
write to but the cache's volume. It serves, says that it is well, ends on SIGTERM and finds its cache again."""

import json
import shutil

import pytest

from tests.support.container_image import build_image
from tests.support.layover import BINARY
from tests.support.machine import large_directory
from tests.support.podman import Store
from tests.support.processes import accepts_connections, free_port, wait_until

HARDENED = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]


@pytest.fixture(scope="module")
def store():
    directory = large_directory("layover-img-", 1 << 30)
    made = Store(directory)
    yield made
    made.stop()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module")
def image(store, tmp_path_factory):
    return build_image(store, BINARY, tmp_path_factory.mktemp("image"))


def inspect(store, kind, name):
    [found] = json.loads(store.podman(kind, "inspect", name).stdout)
    return found


def is_well(store, name):
    return store.podman("healthcheck", "run", name, check=False).returncode == 0


def exit_status_after_stop(store, name):
    """`podman stop` sends the image's STOPSIGNAL, and kills what has not ended in time."""
    store.podman("stop", "--time", "20", name)
    return inspect(store, "container", name)["State"]["ExitCode"]


def test_the_image_names_what_an_operator_has_to_know(store, image):
    config = inspect(store, "image", image)["Config"]
    assert config["User"] == "layover"
    assert config["Entrypoint"] == ["/usr/local/bin/layover"]
    assert list(config["Volumes"]) == ["/var/lib/layover"]
    assert set(config["ExposedPorts"]) == {"5000/tcp", "5001/tcp"}


def test_the_program_in_the_image_is_complete(store, image):
    assert store.run(image, "--version").startswith("layover ")


def test_without_arguments_it_serves_is_well_and_ends_in_order(store, image):
    name = "defaults"
    store.run(image, options=["--detach", "--name", name, "--network", "none", *HARDENED])
    wait_until(lambda: is_well(store, name), "the container is healthy", 15)
    assert exit_status_after_stop(store, name) == 0
    assert not is_well(store, name)


@pytest.fixture
def serve(store, image, site_a, upstream, seeded, tmp_path):
    """A function that starts a container on this machine's network, which listens on `port`."""
    entry = site_a.settings(upstream)
    shutil.copy(entry["ca_file"], tmp_path / "ca.crt")
    settings = tmp_path / "layover.json"
    settings.write_text(json.dumps({"registries": {site_a.name: {**entry, "ca_file": "ca.crt"}}}))
    mounts = [f"--volume={tmp_path / file}:/etc/layover/{file}:ro" for file in ("layover.json", "ca.crt")]

    def start(name, port, admin_port):
        store.run(image, "serve", "--listen", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{admin_port}",
                  options=["--detach", "--name", name, "--network", "host", *HARDENED, *mounts,
                           "--volume", "cache:/var/lib/layover"])
        wait_until(lambda: accepts_connections(port), "the container serves", 15)
    return start


def test_a_new_container_serves_what_the_last_one_has_pulled(store, serve, upstream, seeded, skopeo):
    ports = free_port(), free_port()
    source = f"127.0.0.1:{ports[0]}/registry-a.test/public/app:1.0"
    serve("first", *ports)
    assert skopeo.copy(source).digests == seeded.app.digests()
    assert exit_status_after_stop(store, "first") == 0

    upstream.forget()
    with upstream.stopped():
        serve("second", *ports)
        assert skopeo.copy(source).digests == seeded.app.digests()
    assert exit_status_after_stop(store, "second") == 0
    assert upstream.requests(kind="blobs") == []
