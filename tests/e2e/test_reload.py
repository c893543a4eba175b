"""SIGHUP: the running layover goes by the changed file, drops no request for it, and goes on with what it has
where the file is wrong."""

import json
import signal
import socket
import threading

import pytest

from tests.support import http_client
from tests.support.processes import free_port, wait_until
from tests.support.site import PULLER

DONE = "the configuration has been reloaded"
REFUSED = "nothing has been reloaded"


def reload(layover, said=DONE):
    """Sends SIGHUP with the configuration as `layover.config` is now, or as the file has it already; waits
    for the line that tells how that went."""
    before = layover.output().count(said)
    layover.config_file.write_text(json.dumps(layover.config))
    layover.signal(signal.SIGHUP)
    wait_until(lambda: layover.output().count(said) > before, f"the log says: {said}")


@pytest.fixture
def app(seeded):
    return "public/app", seeded.app.largest_blob()


def test_a_registry_that_is_added_can_be_pulled_from_and_one_that_is_taken_away_cannot(layover, site_a, site_b, upstream_b,
                                                                                       seeded, app):
    name, digest = app
    other = seeded.app_of_b.largest_blob()
    assert layover.get(site_b.name, f"{name}/blobs/{other}").status == 403
    layover.config["registries"][site_b.name] = site_b.settings(upstream_b)
    reload(layover)
    assert layover.get(site_b.name, f"{name}/blobs/{other}").status == 200
    assert layover.metrics().value("layover_http_requests_total", registry=site_b.name, code="200") == 1
    del layover.config["registries"][site_b.name]
    reload(layover)
    assert layover.get(site_b.name, f"{name}/blobs/{other}").status == 403
    assert layover.get(site_a.name, f"{name}/blobs/{digest}").status == 200


def test_an_invalid_file_keeps_the_old_settings_and_its_problems_are_told(layover, site_a, app):
    name, digest = app
    layover.config["cache"]["max_sice"] = "1GiB"
    reload(layover, REFUSED)
    assert "max_sice" in layover.output() and "max_size" in layover.output()
    assert layover.get(site_a.name, f"{name}/blobs/{digest}").status == 200
    assert layover.is_ready()


def test_a_certificate_authority_that_is_gone_keeps_the_old_settings(layover, site_a, app):
    name, digest = app
    layover.config["registries"][site_a.name]["ca_file"] = "/nowhere/ca.pem"
    reload(layover, REFUSED)
    assert layover.get(site_a.name, f"{name}/blobs/{digest}").status == 200


def test_what_is_fixed_stays_and_is_named(layover, site_a, app):
    name, digest = app
    layover.config["threads"] = 3
    layover.config["admin"]["listen"] = f"127.0.0.1:{free_port()}"
    layover.config["shutdown"] = {"grace": "7s"}
    reload(layover)
    wait_until(lambda: "wait for the next start: admin.listen, threads" in layover.output(), "it is said what waits")
    assert layover.get(site_a.name, f"{name}/blobs/{digest}").status == 200
    layover.signal(signal.SIGTERM)
    assert layover.wait() == 0
    assert "up to 7s more" in layover.output()


def test_new_credentials_are_used_from_then_on(start_layover, site_a, upstream, image_layouts):
    site_a.push(image_layouts.app, "private/app:1.0")
    layover = start_layover({site_a.name: site_a.settings(upstream)})
    path = f"private/app/blobs/{image_layouts.app.largest_blob()}"
    assert layover.get(site_a.name, path).status in (401, 403)
    layover.config["registries"][site_a.name] = site_a.settings(upstream, PULLER, token_realms=[site_a.token_server.host])
    reload(layover)
    assert layover.get(site_a.name, path).status == 200


def test_the_logs_change_level_and_format(layover, site_a, app):
    name, digest = app
    path = f"{name}/blobs/{digest}"
    layover.config["log"] = {"level": "info", "format": "json"}
    reload(layover)
    layover.get(site_a.name, path)
    wait_until(lambda: any(json_line(line).get("reference") == digest for line in layover.output().splitlines()),
               "the request's line is JSON")
    layover.config["log"] = {"level": "info", "format": "text", "requests": False}
    reload(layover)
    lines = layover.output().count(digest)
    layover.get(site_a.name, path)
    layover.stop()
    assert layover.output().count(digest) == lines


def json_line(text):
    try:
        return json.loads(text)
    except ValueError:
        return {}


def test_a_lowered_limit_evicts(layover, site_a, seeded):
    layer = seeded.big.largest_blob()
    assert layover.get(site_a.name, f"public/big/blobs/{layer}", timeout=60).status == 200
    layover.settle()
    layover.config["cache"]["max_size"] = "100MiB"
    reload(layover)
    wait_until(lambda: layer not in layover.stored_files(), "the layer was evicted")
    assert layover.metrics().value("layover_cache_max_bytes") == 100 << 20


def test_a_default_registry_changes(start_layover, site_a, site_b, upstream, upstream_b, seeded):
    layover = start_layover({site_a.name: site_a.settings(upstream), site_b.name: site_b.settings(upstream_b)},
                            default_registry=site_b.name)
    url = f"http://127.0.0.1:{layover.default_port}/v2/public/helm/manifests/1.0"
    assert http_client.fetch(url).status in (401, 404), "registry B has no such image"
    layover.config["listen"][1]["default_registry"] = site_a.name
    reload(layover)
    assert http_client.fetch(url).status == 200


def test_the_service_manager_is_told_of_a_reload_and_its_end(start_layover, site_a, upstream, short_directory):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(short_directory / "notify"))
        listening.settimeout(10)
        layover = start_layover({site_a.name: site_a.settings(upstream)}, launch=False)
        layover.launch({"NOTIFY_SOCKET": str(short_directory / "notify")})
        assert listening.recv(1024) == b"READY=1"
        reload(layover)
        assert listening.recv(1024).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        assert listening.recv(1024) == b"READY=1"


def test_reloads_under_load_drop_no_request(layover, site_a, seeded, app):
    """Hits by tag and by digest, downloads and a slow transfer go on while the file changes 30 times."""
    name, digest = app
    big = seeded.big.largest_blob()
    served, failures, is_over = [0, 0, 0], [], threading.Event()

    def pull(number, path, check):
        while not is_over.is_set():
            try:
                answer = layover.get(site_a.name, path, timeout=60)
                if not check(answer):
                    failures.append((path, answer.status, answer.body[:200]))
            except Exception as error:  # whatever it is, a client has seen it
                failures.append((path, error))
            served[number] += 1

    pulls = [threading.Thread(target=pull, args=arguments) for arguments in (
        (0, f"{name}/manifests/1.0", lambda answer: answer.status == 200),
        (0, f"{name}/manifests/1.0", lambda answer: answer.status == 200),
        (1, f"{name}/blobs/{digest}", lambda answer: answer.status == 200 and answer.digest == digest),
        (2, f"public/big/blobs/{big}", lambda answer: answer.status == 200 and answer.digest == big))]
    for thread in pulls:
        thread.start()
    try:
        for round_ in range(30):
            # Below the big layer's size now and then: it is evicted, and downloaded again.
            layover.config["cache"]["max_size"] = "350MiB" if round_ % 3 else "100%"
            layover.config["registries"][f"r{round_ % 4}.test"] = {}
            layover.config["registries"][site_a.name]["tag_ttl"] = f"{round_ % 2}s"
            reload(layover)
    finally:
        is_over.set()
        for thread in pulls:
            thread.join()
    assert failures == []
    assert min(served) > 0, served
    assert layover.metrics().value("layover_client_aborts_total") == 0
