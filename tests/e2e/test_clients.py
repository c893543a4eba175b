"""Clients that misbehave in numbers: what they cost is bounded, it is given back, and the others notice
nothing."""

import os
import re
import socket
import struct
import threading
import time

import pytest

from tests.support import http_client
from tests.support.processes import wait_until

PING = b"GET /v2/ HTTP/1.1\r\nHost: layover.test\r\n\r\n"
# What containerd sends for a manifest, with nothing left out.
ENGINE_PING = (b"GET /v2/?ns=docker.io HTTP/1.1\r\nHost: layover.test:5000\r\nUser-Agent: containerd/1.7.20+unknown\r\n"
               b"Accept: application/vnd.docker.distribution.manifest.v2+json, "
               b"application/vnd.docker.distribution.manifest.list.v2+json, "
               b"application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, */*\r\n"
               b"Accept-Encoding: zstd, gzip, deflate\r\n\r\n")
IDLE = 10_000


@pytest.fixture
def blob(site_a, random_bytes):
    content = random_bytes(40 << 20)
    return f"public/clients/blobs/{site_a.open.plant_blob('public/clients', content)}", content


def descriptors(layover):
    return len(os.listdir(f"/proc/{layover.pid}/fd"))


def connect(layover, source="127.0.0.1"):
    return socket.create_connection(("127.0.0.1", layover.port), timeout=20, source_address=(source, 0))


def ask(connection, request=PING):
    connection.sendall(request)
    assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def request_for(layover, site, path):
    return f"GET /v2/{site.name}/{path} HTTP/1.1\r\nHost: layover.test\r\n\r\n".encode()


def test_an_idle_connection_costs_less_than_4_kib_and_is_given_back(start_layover, site_a, upstream):
    layover = start_layover({site_a.name: site_a.settings(upstream)},
                            {"limits": {"max_connections": 15_000}, "log": {"requests": False}})
    for _ in range(200):
        with connect(layover) as connection:
            ask(connection, ENGINE_PING)
    before = layover.rss_anon()
    connections = []
    try:
        # The ports of one address are not enough where much else goes on.
        for number in range(IDLE):
            connections.append(connect(layover, f"127.0.0.{2 + number // 4000}"))
            ask(connections[-1], ENGINE_PING)
        each = (layover.rss_anon() - before) / IDLE
        print(f"{IDLE} idle connections: {each:.0f} bytes of RssAnon each")
        assert each < 4096
        assert layover.metrics().value("layover_connections", side="client") >= IDLE
        ask(connections[0])
    finally:
        for connection in connections:
            connection.close()
    wait_until(lambda: layover.rss_anon() - before < 6 << 20, "the memory is given back", timeout=20)
    print(f"after they have gone: {layover.rss_anon() - before} bytes more than before")
    wait_until(lambda: descriptors(layover) < 100, "the descriptors are given back")


def test_readers_that_take_nothing_are_ended_by_send_timeout(start_layover, site_a, open_upstream, blob):
    path, content = blob
    layover = start_layover({site_a.name: site_a.settings(open_upstream)}, {"limits": {"send_timeout": "1s"}})
    assert layover.get(site_a.name, path).body == content
    layover.settle()
    before, memory = descriptors(layover), layover.rss_anon()
    connections = [connect(layover) for _ in range(50)]
    try:
        for connection in connections:
            connection.sendall(request_for(layover, site_a, path))
        wait_until(lambda: descriptors(layover) >= before + 50 + 1, "all of them are being sent the blob")
        assert layover.get(site_a.name, path).body == content
        wait_until(lambda: layover.metrics().value("layover_client_aborts_total") == 50, "all of them are ended")
        wait_until(lambda: descriptors(layover) <= before + 2, "their descriptors are closed")
        assert layover.rss_anon() - memory < 8 << 20
    finally:
        for connection in connections:
            connection.close()
    assert "broken off" not in layover.output()


@pytest.mark.parametrize("piece", [1 << 20, 20 << 10])
def test_a_slow_reader_that_takes_something_is_not_ended(piece, start_layover, site_a, open_upstream, blob):
    path, content = blob
    layover = start_layover({site_a.name: site_a.settings(open_upstream)}, {"limits": {"send_timeout": "1s"}})
    slow = http_client.OpenDownload(layover.url(site_a.name, path))
    began, received = time.monotonic(), b""
    while time.monotonic() - began < 4:
        received += slow.read_exactly(piece)
        time.sleep(0.1)
    assert received + slow.read_rest() == content
    slow.close()


def test_resets_in_the_middle_of_a_blob_are_client_aborts_and_nothing_to_log(layover, site_a, blob):
    path, content = blob
    assert layover.get(site_a.name, path).body == content
    layover.settle()
    before, logged = descriptors(layover), len(re.findall(r"Z (warning|error) ", layover.output()))
    for _ in range(100):
        connection = connect(layover)
        connection.sendall(request_for(layover, site_a, path))
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    wait_until(lambda: layover.metrics().value("layover_client_aborts_total") == 100, "all of them are counted")
    wait_until(lambda: descriptors(layover) <= before + 2, "their descriptors are closed")
    assert len(re.findall(r"Z (warning|error) ", layover.output())) == logged
    assert layover.get(site_a.name, path).body == content


def test_an_end_of_requests_is_not_the_end_of_answers(layover, site_a, blob):
    """A client may close its direction once it has asked (half-closed)."""
    path, content = blob
    with connect(layover) as connection:
        connection.sendall(request_for(layover, site_a, path))
        connection.shutdown(socket.SHUT_WR)
        [(status, _, body)] = http_client.split_answers(http_client.read_to_end(connection))
    assert (status, body) == (200, content)


def flood(connection, stop):
    """Pipelines requests and reads all answers, as fast as it can."""
    block = PING * 2000
    connection.setblocking(False)
    pending = b""
    while not stop.is_set():
        try:
            pending = pending or block
            pending = pending[connection.send(pending):]
        except BlockingIOError:
            pass
        try:
            connection.recv(1 << 20)
        except BlockingIOError:
            pass


def test_a_flood_of_pipelined_requests_leaves_turns_to_others_and_holds_no_memory(start_layover, site_a, upstream):
    layover = start_layover({site_a.name: site_a.settings(upstream)},
                            {"threads": 1, "log": {"requests": False, "level": "info"}})
    before = layover.rss_anon()
    stop = threading.Event()
    with connect(layover) as greedy, connect(layover) as other:
        flooding = threading.Thread(target=flood, args=(greedy, stop))
        flooding.start()
        try:
            waits = []
            for _ in range(100):
                began = time.monotonic()
                ask(other)
                waits.append(time.monotonic() - began)
            assert sorted(waits)[len(waits) // 2] < 0.1
            assert layover.rss_anon() - before < 8 << 20
        finally:
            stop.set()
            flooding.join()


def test_pipelined_requests_whose_answers_are_not_read_are_not_read_either(start_layover, site_a, upstream):
    layover = start_layover({site_a.name: site_a.settings(upstream)}, {"limits": {"send_timeout": "1s"},
                                                                       "log": {"requests": False}})
    before, sent = layover.rss_anon(), 0
    with connect(layover) as connection:
        connection.settimeout(0.5)
        with pytest.raises(OSError):
            while sent < 256 << 20:
                sent += connection.send(PING * 1000)
        assert layover.rss_anon() - before < 8 << 20
        wait_until(lambda: layover.metrics().value("layover_connections", side="client") == 1,
                   "the client is ended: the other one is the scrape")
