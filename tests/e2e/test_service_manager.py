"""What a service manager or a container's supervisor sees: the word that layover serves, the word that it
ends, and the health check that needs no shell."""

import signal
import socket

import pytest

from tests.support.layover import BINARY, ROOT
from tests.support.processes import free_port, run


@pytest.fixture
def notifications(short_directory):
    """The socket of a service manager, and its name."""
    name = str(short_directory / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(name)
        listening.settimeout(10)
        yield listening, name


def healthcheck(port):
    return run([BINARY, "healthcheck", "--admin", f"127.0.0.1:{port}"], check=False, timeout=10)


def test_the_service_manager_is_told_when_layover_serves_and_when_it_ends(start_layover, site_a, upstream,
                                                                         notifications):
    listening, name = notifications
    layover = start_layover({site_a.name: site_a.settings(upstream)}, launch=False)
    layover.launch({"NOTIFY_SOCKET": name})
    assert listening.recv(1024) == b"READY=1"
    assert layover.admin("/readyz") == 200, "what is announced is so"
    layover.signal(signal.SIGTERM)
    assert listening.recv(1024) == b"STOPPING=1"
    assert layover.wait() == 0


def test_a_start_that_fails_is_never_announced(start_layover, site_a, upstream, notifications):
    listening, name = notifications
    layover = start_layover({site_a.name: site_a.settings(upstream)}, launch=False)
    with socket.create_server(("127.0.0.1", layover.port)):
        assert layover.launch({"NOTIFY_SOCKET": name}).wait() == 1
    listening.setblocking(False)
    with pytest.raises(BlockingIOError):
        listening.recv(1024)


def test_the_health_check_says_by_its_status_whether_layover_is_alive(layover):
    assert healthcheck(layover.admin_port).returncode == 0
    layover.stop()
    done = healthcheck(layover.admin_port)
    assert done.returncode == 1
    assert f"127.0.0.1:{layover.admin_port}" in done.stderr


def test_the_health_check_does_not_wait_for_a_layover_that_hangs(layover):
    layover.signal(signal.SIGSTOP)
    try:
        done = healthcheck(layover.admin_port)
    finally:
        layover.signal(signal.SIGCONT)
    assert done.returncode == 1
    assert "no answer in time" in done.stderr


def test_systemd_takes_the_example_unit_without_a_word(tmp_path):
    unit = tmp_path / "layover.service"
    unit.write_text((ROOT / "docs" / "layover.service").read_text().replace("/usr/local/bin/layover", str(BINARY)))
    done = run(["systemd-analyze", "verify", unit])
    assert done.stdout + done.stderr == ""


def test_a_wrong_address_is_a_wrong_usage():
    assert run([BINARY, "healthcheck", "--admin", "everywhere"], check=False).returncode == 2
    assert healthcheck(free_port()).returncode == 1
