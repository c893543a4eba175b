"""A process that runs out of descriptors: it goes on with what it has, refuses what it cannot open, waits for
better times without spinning, and then goes on as if nothing had been."""

import http.client
import os
import resource
import select
import socket
import time

import pytest

from tests.support import http_client
from tests.support.processes import wait_until

PING = b"GET /v2/ HTTP/1.1\r\nHost: layover.test\r\n\r\n"
SHORTAGE = "no descriptors left"


@pytest.fixture
def blob(site_a, random_bytes):
    content = random_bytes(24 << 20)
    return f"public/descriptors/blobs/{site_a.open.plant_blob('public/descriptors', content)}", content


def open_descriptors(layover):
    return {int(name) for name in os.listdir(f"/proc/{layover.pid}/fd")}


def leave_descriptors(layover, count):
    """From now on it may open so many more; waits until it has closed what its clients have left."""
    seen = [set()] * 10

    def is_quiet():
        seen.append(open_descriptors(layover))
        return all(one == seen[-1] for one in seen[-10:])

    wait_until(is_quiet, "its descriptors stay the same")
    free = (number for number in range(1 << 20) if number not in seen[-1])
    for _ in range(count):
        next(free)
    _, hard = resource.prlimit(layover.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(layover.pid, resource.RLIMIT_NOFILE, (next(free), hard))


def leave_enough_descriptors(layover):
    _, hard = resource.prlimit(layover.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(layover.pid, resource.RLIMIT_NOFILE, (hard, hard))


def is_answered(connection):
    is_readable = bool(select.select([connection], [], [], 0)[0])
    return is_readable and connection.recv(65536).startswith(b"HTTP/1.1 200")


def test_it_raises_its_own_limit_to_what_it_may_have(layover):
    soft, hard = resource.prlimit(layover.pid, resource.RLIMIT_NOFILE)
    assert soft == min(hard, 1 << 20)


def test_connections_beyond_the_descriptors_wait_and_those_that_are_there_are_served(layover, site_a, blob):
    path, content = blob
    assert layover.get(site_a.name, path).body == content
    layover.settle()
    slow = http_client.OpenDownload(layover.url(site_a.name, path))
    received = slow.read_exactly(1000)
    leave_descriptors(layover, 5)
    connections = []
    try:
        for _ in range(20):
            connections.append(socket.create_connection(("127.0.0.1", layover.port), timeout=10))
            connections[-1].sendall(PING)
        assert all(connection.recv(65536).startswith(b"HTTP/1.1 200") for connection in connections[:5])
        wait_until(lambda: SHORTAGE in layover.output(), "the shortage is logged")

        cpu_before, began = layover.cpu_seconds(), time.monotonic()
        while time.monotonic() - began < 2:
            assert not any(is_answered(connection) for connection in connections[5:])
            time.sleep(0.1)
        assert layover.cpu_seconds() - cpu_before < 0.2

        assert received + slow.read_rest() == content
        connections[0].sendall(PING)
        assert connections[0].recv(65536).startswith(b"HTTP/1.1 200")

        for connection in connections[:5]:
            connection.close()
        del connections[:5]
        # The file of the download is closed too; whoever is served now ends, and makes room for others.
        while connections:
            ready = wait_until(lambda: [c for c in connections if is_answered(c)], "those that waited are served")
            for connection in ready:
                connection.close()
                connections.remove(connection)
        assert layover.output().count(SHORTAGE) == 1
    finally:
        for connection in connections:
            connection.close()
        slow.close()
    leave_enough_descriptors(layover)
    assert layover.get(site_a.name, path).cache == "HIT"


@pytest.fixture
def connection(layover):
    """One that is there before the descriptors run out."""
    connection = http.client.HTTPConnection("127.0.0.1", layover.port, timeout=10)
    connection.request("GET", "/v2/")
    connection.getresponse().read()
    yield connection
    connection.close()


def ask(connection, target):
    connection.request("GET", target)
    response = connection.getresponse()
    return response.status, response.headers, response.read()


def test_what_cannot_be_opened_is_refused_with_503_and_nothing_is_lost(layover, upstream, site_a, blob, connection,
                                                                       random_bytes):
    path, content = blob
    other = random_bytes(100_000)
    other_path = f"public/descriptors/blobs/{site_a.open.plant_blob('public/descriptors', other)}"
    assert layover.get(site_a.name, path).body == content
    layover.settle()
    asked = len(upstream.requests())
    leave_descriptors(layover, 0)
    for wanted in (path, other_path):
        status, headers, body = ask(connection, f"/v2/{site_a.name}/{wanted}")
        assert (status, headers["Retry-After"]) == (503, "5")
        assert b"making a socket: Too many open files" in body
    leave_enough_descriptors(layover)
    assert ask(connection, f"/v2/{site_a.name}/{path}")[1]["X-Cache"] == "HIT"
    assert ask(connection, f"/v2/{site_a.name}/{other_path}")[2] == other
    gets = [r for r in upstream.requests()[asked:] if r.method == "GET" and r.path.endswith(path.rpartition("/")[2])]
    assert gets == []
    assert "damaged" not in layover.output()


def test_a_tag_is_served_stale_while_upstream_cannot_be_dialled(layover, seeded, site_a, connection):
    target = f"/v2/{site_a.name}/public/app/manifests/1.0"
    expected = ask(connection, target)[2]
    layover.settle()
    layover.restart()
    connection.close()  # and opened again by the next request
    ask(connection, "/v2/")
    leave_descriptors(layover, 0)
    status, headers, body = ask(connection, target)
    assert (status, headers["X-Cache"], body) == (200, "STALE", expected)
    leave_enough_descriptors(layover)
    status, headers, body = ask(connection, target)
    assert (status, headers["X-Cache"], body) == (200, "REVALIDATED", expected)
    assert "seems to be down" not in layover.output()
