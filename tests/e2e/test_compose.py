"""docker/compose.yaml against what it puts together: the image's ports and health, Prometheus' settings, and the
hardening with which the image is tested."""

import re

import pytest
import yaml

from tests.e2e.test_container_image import HARDENED
from tests.support.images import ROOT
from tests.support.layover import BINARY
from tests.support.processes import run

DOCKER = ROOT / "docker"


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((DOCKER / "compose.yaml").read_text())


@pytest.fixture(scope="module")
def dockerfile():
    return (DOCKER / "Dockerfile").read_text()


def seconds(duration):
    assert re.fullmatch(r"\d+s", duration)
    return int(duration[:-1])


def command_port(dockerfile, flag):
    """The port of an address that the image's own arguments name."""
    return re.search(rf'"{flag}", "0\.0\.0\.0:(\d+)"', dockerfile)[1]


def test_it_builds_the_dockerfile_of_this_tree(compose):
    build = compose["services"]["layover"]["build"]
    assert (DOCKER / build["context"]).resolve() == ROOT
    assert (DOCKER / build["context"] / build["dockerfile"]).resolve() == DOCKER / "Dockerfile"


def test_layovers_ports_are_those_of_the_image_and_metrics_stay_on_this_machine(compose, dockerfile):
    registry, admin = (command_port(dockerfile, flag) for flag in ("--listen", "--admin"))
    assert compose["services"]["layover"]["ports"] == [f"{registry}:{registry}", f"127.0.0.1:{admin}:{admin}"]


def test_prometheus_scrapes_the_service_where_it_is(compose, dockerfile):
    config = yaml.safe_load((DOCKER / "prometheus.yml").read_text())
    targets = [target for job in config["scrape_configs"] for static in job["static_configs"]
               for target in static["targets"]]
    [target] = targets
    service, port = target.split(":")
    assert service in compose["services"] and port == command_port(dockerfile, "--admin")


def test_the_files_that_it_mounts_are_there_and_prometheus_takes_them(compose):
    mounted = [volume.split(":") for volume in compose["services"]["prometheus"]["volumes"]]
    files = {target: DOCKER / source for source, target, *_ in mounted if source.startswith("./")}
    assert all(file.is_file() for file in files.values())
    rules = yaml.safe_load((DOCKER / "prometheus.yml").read_text())["rule_files"]
    assert {f"/etc/prometheus/{name}" for name in rules} <= set(files)
    run(["promtool", "check", "config", DOCKER / "prometheus.yml"])


def test_named_volumes_are_declared_and_the_cache_is_one(compose, dockerfile):
    used = {volume.split(":")[0]: volume.split(":")[1] for service in compose["services"].values()
            for volume in service["volumes"] if not volume.startswith("./")}
    assert set(used) == set(compose["volumes"])
    assert used["cache"] == re.search(r"^VOLUME (\S+)$", dockerfile, re.MULTILINE)[1]


def test_it_waits_for_layovers_own_end(compose, tmp_path):
    shown = run([BINARY, "config", "show", "--json", "-c", empty_file(tmp_path)]).stdout
    shutdown = yaml.safe_load(shown)["shutdown"]
    own = sum(seconds(shutdown[key]) for key in ("delay", "grace"))
    assert seconds(compose["services"]["layover"]["stop_grace_period"]) > own


def empty_file(directory):
    file = directory / "layover.json"
    file.write_text("{}")
    return file


def test_it_hardens_the_container_as_the_images_tests_do(compose):
    service = compose["services"]["layover"]
    options = ["--read-only"] if service["read_only"] else []
    for capability in service["cap_drop"]:
        options += ["--cap-drop", capability]
    for option in service["security_opt"]:
        options += ["--security-opt", option.removesuffix(":true")]
    assert options == HARDENED
