"""Starting and ending: each wrong configuration, taken port and unusable directory gets one clear message
and the right exit status; hits are served with upstream down; SIGTERM lets transfers finish."""

import json
import re
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.layover import BINARY
from tests.support.processes import Process, run, wait_until
from tests.support.recording_proxy import Hold

OK, FAILED, USAGE = 0, 1, 2


def layover_command(*arguments, timeout=10):
    return run([BINARY, *arguments], check=False, timeout=timeout)


@pytest.fixture
def unstarted(start_layover, site_a, upstream):
    """A function that makes a layover which has not been started."""
    def make(settings=None):
        return start_layover({site_a.name: site_a.settings(upstream)}, settings, launch=False)
    return make


def run_to_its_end(layover):
    """Starts it, waits for its end, and gives (exit status, output)."""
    process = layover.launch()
    return process.wait(10), process.output()


def test_version_says_name_and_number():
    done = layover_command("--version")
    assert done.returncode == OK
    assert re.search(r"layover \d+\.\d+", done.stdout)


@pytest.mark.parametrize("arguments", [["--nonsense"], ["serve", "--nonsense"], ["nonsense"],
                                       ["serve", "--threads", "many"], ["config", "check"]])
def test_wrong_usage_is_status_2_with_a_hint(arguments):
    done = layover_command(*arguments)
    assert done.returncode == USAGE
    assert done.stderr.strip()
    assert len(done.stderr.splitlines()) < 10, "a message, not a manual"


WRONG = """{
  // Comments are allowed.
  "listen": [{"adress": "127.0.0.1:5000"}],
  "cache": {"path": 7},
  "defaults": {"connect_timeout": "5"},
  "threads": 0
}
"""


@pytest.mark.parametrize("command", [["config", "check"], ["serve", "-c"]], ids=["check", "serve"])
def test_all_mistakes_are_reported_at_once_with_their_places(tmp_path, command):
    file = tmp_path / "layover.json"
    file.write_text(WRONG)
    done = layover_command(*command, file)
    assert done.returncode == USAGE
    places = re.findall(rf"{re.escape(str(file))}:(\d+):\d+", done.stdout + done.stderr)
    assert {"3", "4", "5", "6"} <= set(places)
    text = done.stdout + done.stderr
    assert "address" in text, "an unknown key is told the nearest right one"
    for key in ("cache.path", "defaults.connect_timeout", "threads"):
        assert key in text


def test_broken_json_is_reported_with_its_place(tmp_path):
    file = tmp_path / "layover.json"
    file.write_text('{\n  "threads": 2,,\n}\n')
    done = layover_command("config", "check", file)
    assert done.returncode == USAGE
    assert f"{file}:2:" in done.stdout + done.stderr


def test_a_duplicate_key_is_an_error(tmp_path):
    file = tmp_path / "layover.json"
    file.write_text('{\n  "threads": 2,\n  "threads": 3\n}\n')
    done = layover_command("config", "check", file)
    assert done.returncode == USAGE
    assert f"{file}:3:" in done.stdout + done.stderr


def test_a_missing_configuration_file_is_named(tmp_path):
    done = layover_command("serve", "-c", tmp_path / "missing.json")
    assert done.returncode == USAGE
    assert "missing.json" in done.stderr


def test_a_right_configuration_passes_the_check(unstarted):
    layover = unstarted()
    layover.config_file.write_text(json.dumps(layover.config))
    assert layover_command("config", "check", layover.config_file).returncode == OK


def test_credentials_for_everybody_need_a_word(tmp_path):
    """Without `shared`, private images would be open to whoever reaches the port."""
    file, password = tmp_path / "layover.json", tmp_path / "password"
    password.write_text("secret-word\n")
    file.write_text(json.dumps({
        "listen": [{"address": "0.0.0.0:5000"}],
        "registries": {"registry.test": {"credentials": {"username": "u", "password_file": str(password)}}}}))
    done = layover_command("config", "check", file)
    assert done.returncode == USAGE
    assert "shared" in done.stdout + done.stderr
    assert "secret-word" not in done.stdout + done.stderr


@pytest.mark.parametrize("which", ["port", "admin_port"])
def test_a_taken_port_is_named(unstarted, which):
    layover = unstarted()
    with socket.create_server(("127.0.0.1", getattr(layover, which))):
        status, output = run_to_its_end(layover)
    assert status == FAILED
    assert f"127.0.0.1:{getattr(layover, which)}" in output
    assert re.search("in use|another process", output)


def test_an_unusable_cache_directory_is_named(unstarted, tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    path = str(file / "cache")
    status, output = run_to_its_end(unstarted({"cache": {"path": path}}))
    assert status == FAILED
    assert path in output


def test_a_relative_cache_directory_is_made_where_it_starts(tmp_path):
    server = Process([BINARY, "serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--cache", "new/cache"],
                     tmp_path / "log", cwd=tmp_path)
    try:
        server.wait_until(lambda: "layover serves on" in server.output(), "it serves")
        assert (tmp_path / "new" / "cache" / "blobs").is_dir()
    finally:
        server.stop()


def test_a_cache_directory_has_one_owner_who_is_named(layover, unstarted):
    second = unstarted({"cache": {"path": str(layover.cache_path)}})
    status, output = run_to_its_end(second)
    assert status == FAILED
    assert str(layover.cache_path) in output
    assert re.search(rf"\b{layover.pid}\b", output), "the message names the owner's process"
    assert layover.is_ready()


def test_a_killed_owner_leaves_no_lock(layover):
    layover.kill()
    layover.start()


def test_it_starts_and_serves_hits_while_upstream_is_down(layover, upstream, token_server, site_a, random_bytes):
    image = site_a.open.plant_image("public/outage", "1.0", [random_bytes(100_000)])
    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}

    def pull():
        manifest = layover.get("registry-a.test", "public/outage/manifests/1.0", headers=accept)
        assert (manifest.status, manifest.body) == (200, image.manifest)
        for digest, content in image.blobs.items():
            assert layover.get("registry-a.test", f"public/outage/blobs/{digest}").body == content
        return manifest

    pull()
    layover.stop()
    upstream.stop()
    token_server.stop()
    began = time.monotonic()
    layover.start()
    assert time.monotonic() - began < 1.0
    stale = pull()
    assert stale.cache == "STALE"
    assert stale.headers["Warning"].startswith('299 - "layover: stale')
    assert layover.get("registry-a.test", "public/outage/manifests/other", headers=accept).status in (502, 504)


def test_admin_answers_alive_and_ready(layover):
    for path in ("/livez", "/healthz", "/readyz"):
        assert layover.admin(path) == 200


def test_metrics_say_what_is_running(layover):
    metrics = layover.metrics()
    assert metrics.value("layover_build_info") == 1
    assert metrics.value("process_resident_memory_bytes") > 0
    assert metrics.value("layover_connections", side="client") >= 0


@pytest.fixture
def held_download(layover, upstream, site_a, random_bytes):
    """A client in the middle of a blob: (its future answer, the blob's bytes, the hold)."""
    content = random_bytes(3_000_000)
    digest = site_a.open.plant_blob("public/transfer", content)
    hold = upstream.holds[digest] = Hold(1_500_000)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(layover.get, "registry-a.test", f"public/transfer/blobs/{digest}")
        assert hold.reached.wait(10)
        yield answer, content, hold
        hold.release()


def test_sigterm_lets_a_transfer_finish(layover, held_download):
    answer, content, hold = held_download
    layover.signal(signal.SIGTERM)
    wait_until(lambda: layover.admin("/readyz") != 200, "it is no longer ready")
    assert layover.is_running
    hold.release()
    assert answer.result().body == content
    assert layover.wait(10) == OK


def test_new_clients_are_refused_while_it_ends(layover, held_download):
    layover.signal(signal.SIGTERM)

    def is_refused():
        try:
            socket.create_connection(("127.0.0.1", layover.port), timeout=1).close()
            return False
        except ConnectionRefusedError:
            return True

    wait_until(is_refused, "the port is closed")
    assert layover.is_running


def test_a_second_signal_ends_at_once(layover, held_download):
    layover.signal(signal.SIGTERM)
    wait_until(lambda: layover.admin("/readyz") != 200, "it is no longer ready")
    layover.signal(signal.SIGTERM)
    layover.wait(2)


def test_an_idle_client_does_not_delay_the_end(layover):
    with socket.create_connection(("127.0.0.1", layover.port)) as idle:
        idle.sendall(b"GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n")
        assert idle.recv(65536)
        layover.signal(signal.SIGTERM)
        assert layover.wait(5) == OK
