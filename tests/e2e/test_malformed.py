"""Malformed and hostile requests, byte by byte: each gets the right status, none reaches upstream, and
layover goes on serving."""

import json
import shutil
import socket
import time

import pytest

from tests.support import http_client
from tests.support.layover import Layover

HOST = b"Host: layover.test\r\n"
OK = b"GET /v2/ HTTP/1.1\r\n" + HOST + b"\r\n"


@pytest.fixture(scope="module")
def shared_layover(tmp_path_factory, site_a, _token_server):
    """One for all cases: what a case does to it, the next one would notice."""
    proxy = site_a.upstream()
    instance = Layover(tmp_path_factory.mktemp("malformed") / "layover", {site_a.name: site_a.settings(proxy)},
                       {"limits": {"header_timeout": "1s"}}, default_registry=site_a.name)
    instance.start()
    instance.upstream = proxy
    yield instance
    instance.stop()
    proxy.stop()
    shutil.rmtree(instance.cache_path)


@pytest.fixture
def layover(shared_layover):
    """Each case leaves it alive, and upstream untouched."""
    shared_layover.upstream.forget()
    yield shared_layover
    assert shared_layover.is_running
    assert http_client.fetch(shared_layover.raw_url("/v2/")).status == 200
    assert shared_layover.upstream.requests() == []


def statuses(layover, request):
    """Of all answers until layover closes the connection."""
    return [status for status, _, _ in http_client.split_answers(http_client.exchange(layover.port, request))]


SMUGGLING = {
    "both lengths": b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nbody",
    "two equal lengths": b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nbody",
    "a list of lengths": b"Content-Length: 4, 4\r\n\r\nbody",
    "a signed length": b"Content-Length: +4\r\n\r\nbody",
    "a negative length": b"Content-Length: -4\r\n\r\nbody",
    "a length beyond 64 bits": b"Content-Length: 99999999999999999999\r\n\r\n",
    "a coding that is not the last": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "an obscured coding": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a chunk size that is no number": b"Transfer-Encoding: chunked\r\n\r\nzz\r\nbody\r\n0\r\n\r\n",
    "a chunk size beyond 64 bits": b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nbody\r\n0\r\n\r\n",
    "a chunk longer than its size": b"Transfer-Encoding: chunked\r\n\r\n2\r\nbody\r\n0\r\n\r\n",
    "a folded line": b"X-Folded: one\r\n two\r\n\r\n",
    "a space before the colon": b"Content-Length : 4\r\n\r\nbody",
    "a name with a space": b"X Name: 1\r\n\r\n",
    "no name": b": 1\r\n\r\n",
    "no colon": b"nonsense\r\n\r\n",
    "a bare line feed": b"X-One: 1\nX-Two: 2\r\n\r\n",
    "a bare carriage return": b"X-One: 1\rX-Two: 2\r\n\r\n",
    "a NUL": b"X-Null: a\0b\r\n\r\n",
    "a second Host": b"Host: other.test\r\n\r\n",
}


@pytest.mark.parametrize("tail", SMUGGLING.values(), ids=[name.replace(" ", "-") for name in SMUGGLING])
def test_a_request_that_two_parsers_could_read_two_ways_is_refused(layover, tail):
    """400 and the end of the connection: what follows such a request is never taken for another."""
    answers = statuses(layover, b"POST /v2/ HTTP/1.1\r\n" + HOST + tail + OK)
    assert answers == [400]


REQUEST_LINES = {
    "no version": (b"GET /v2/\r\n\r\n", 505),
    "no Host": (b"GET /v2/ HTTP/1.1\r\n\r\n", 400),
    "a version of the future": (b"GET /v2/ HTTP/3.0\r\n" + HOST + b"\r\n", 505),
    "a version that is none": (b"GET /v2/ HTTP/one\r\n" + HOST + b"\r\n", 505),
    "an unknown method": (b"BREW /v2/ HTTP/1.1\r\n" + HOST + b"\r\n", 501),
    "a NUL in the target": (b"GET /v2/\0 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "TLS on a plain port": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(100)), 400),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9), 505),
    "nothing but empty lines": (b"\r\n" * 100_000, 400),
    "binary noise": (bytes(range(128, 256)) * 4 + b"\r\n\r\n", 400),
}


@pytest.mark.parametrize("request_bytes, status", REQUEST_LINES.values(),
                         ids=[name.replace(" ", "-") for name in REQUEST_LINES])
def test_what_is_no_request_line_gets_its_status(layover, request_bytes, status):
    assert statuses(layover, request_bytes) in ([status], [400])


DIGEST = "sha256:" + "0" * 64
PATHS = {
    "up and out": "/v2/../../etc/passwd",
    "encoded dots": "/v2/%2e%2e/%2e%2e/etc/passwd",
    "dots in a repository": f"/v2/a/../../b/blobs/{DIGEST}",
    "encoded dots in a repository": f"/v2/a/%2e%2e/b/blobs/{DIGEST}",
    "an empty component": f"/v2/a//b/blobs/{DIGEST}",
    "an encoded slash": f"/v2/a%2fb/blobs/{DIGEST}",
    "an encoded NUL": f"/v2/a%00/blobs/{DIGEST}",
    "an encoded line end": f"/v2/a%0d%0aX-Evil:1/blobs/{DIGEST}",
    "a broken escape": f"/v2/a%zz/blobs/{DIGEST}",
    "upper case": f"/v2/Upper/blobs/{DIGEST}",
    "a name of 256": f"/v2/{'a' * 256}/blobs/{DIGEST}",
    "a short digest": "/v2/a/blobs/sha256:00",
    "an upper case digest": "/v2/a/blobs/sha256:" + "A" * 64,
    "an unknown algorithm": "/v2/a/blobs/md5:" + "0" * 32,
    "a digest with a path": "/v2/a/blobs/sha256:../../etc/passwd",
    "a tag of 129": "/v2/a/manifests/" + "t" * 129,
    "a tag with dots first": "/v2/a/manifests/..",
}


@pytest.mark.parametrize("path", PATHS.values(), ids=[name.replace(" ", "-") for name in PATHS])
def test_a_path_that_is_not_in_the_grammar_leads_nowhere(layover, path):
    request = f"GET {path} HTTP/1.1\r\nHost: layover.test\r\nConnection: close\r\n\r\n".encode()
    [(status, headers, body)] = http_client.split_answers(http_client.exchange(layover.default_port, request))
    assert status in (400, 404)
    assert headers[b"content-type"].startswith(b"application/json")
    assert json.loads(body)["errors"][0]["code"]
    assert b"x-evil" not in headers


@pytest.mark.parametrize("path", ["/", "/v1/", "/v20/", "/v2/a/unknown/b", "/metrics", "/favicon.ico"])
def test_what_is_not_the_registry_api_is_not_found(layover, path):
    assert http_client.fetch(layover.raw_url(path)).status == 404


def test_an_absolute_target_is_no_open_proxy(layover):
    """RFC 9112 3.2.2: servers accept the form; the host in it decides nothing."""
    request = b"GET http://169.254.169.254/v2/ HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
    assert statuses(layover, request) == [200]
    request = b"GET http://169.254.169.254/latest/meta-data HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
    assert statuses(layover, request) == [404]
    request = b"CONNECT 169.254.169.254:80 HTTP/1.1\r\n" + HOST + b"\r\n"
    assert statuses(layover, request)[0] in (400, 405, 501)


FLOODS = {
    "ten thousand headers": (OK[:-2] + b"".join(b"X-%d: 1\r\n" % i for i in range(10_000)) + b"\r\n", 431),
    "a header of a megabyte": (OK[:-2] + b"X-Long: " + b"a" * (1 << 20) + b"\r\n\r\n", 431),
    "a name of a megabyte": (OK[:-2] + b"a" * (1 << 20) + b": 1\r\n\r\n", 431),
    "a target of a megabyte": (b"GET /v2/" + b"a" * (1 << 20) + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
    "a query of a megabyte": (b"GET /v2/?" + b"a" * (1 << 20) + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
}


@pytest.mark.parametrize("request_bytes, status", FLOODS.values(), ids=[name.replace(" ", "-") for name in FLOODS])
def test_a_flood_is_cut_off_with_its_status(layover, request_bytes, status):
    before = layover.rss_anon()
    assert statuses(layover, request_bytes) == [status]
    assert layover.rss_anon() - before < 16 << 20


def test_an_endless_method_is_cut_off(layover):
    assert statuses(layover, b"A" * (1 << 20))[0] in (400, 414, 431, 501)


WRITES = ["POST /v2/a/b/blobs/uploads/", "PUT /v2/a/b/manifests/tag", "PATCH /v2/a/b/blobs/uploads/1",
          "DELETE /v2/a/b/manifests/tag", f"DELETE /v2/a/b/blobs/{DIGEST}", "PUT /v2/", "OPTIONS /v2/"]


@pytest.mark.parametrize("line", WRITES)
def test_pushes_and_deletes_are_not_supported(layover, line):
    request = f"{line} HTTP/1.1\r\nHost: layover.test\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody".encode()
    [(status, _, body)] = http_client.split_answers(http_client.exchange(layover.default_port, request))
    assert status == 405
    assert json.loads(body)["errors"][0]["code"] == "UNSUPPORTED"


def test_a_push_is_refused_before_its_body_is_sent(layover):
    """RFC 9110 10.1.1: a client that expects 100 gets the verdict instead."""
    request = (b"PUT /v2/a/b/manifests/tag HTTP/1.1\r\n" + HOST +
               b"Content-Length: 1000000000\r\nExpect: 100-continue\r\n\r\n")
    with socket.create_connection(("127.0.0.1", layover.port), timeout=5) as connection:
        connection.sendall(request)
        assert connection.recv(65536).startswith(b"HTTP/1.1 405")


def test_a_thousand_pipelined_requests_are_answered_in_order(layover):
    kinds = [(b"GET /v2/", 200), (b"GET /v2/a/blobs/sha256:00", 400), (b"POST /v2/a/blobs/uploads/", 405),
             (b"GET /nothing", 404)]
    chosen = [kinds[i * i % 7 % 4] for i in range(999)]
    request = b"".join(line + b" HTTP/1.1\r\n" + HOST + b"\r\n" for line, _ in chosen)
    request += OK[:-2] + b"Connection: close\r\n\r\n"
    assert statuses(layover, request) == [*(status for _, status in chosen), 200]


def test_some_empty_lines_before_a_request_are_ignored(layover):
    assert statuses(layover, b"\r\n" * 10 + OK[:-2] + b"Connection: close\r\n\r\n") == [200]


@pytest.mark.parametrize("body", [b"Content-Length: 4\r\n\r\nbody", b"Content-Length: 60000\r\n\r\n" + b"b" * 60_000],
                         ids=["small", "larger"])
def test_a_body_that_comes_with_a_get_is_read_and_counts_for_nothing(layover, body):
    request = OK[:-2] + body + OK[:-2] + b"Connection: close\r\n\r\n"
    assert statuses(layover, request) == [200, 200]


def test_a_large_body_that_comes_with_a_get_ends_the_connection_after_the_answer(layover):
    request = OK[:-2] + b"Content-Length: 10000000\r\n\r\n" + b"b" * 200_000
    assert statuses(layover, request) == [200]


def test_a_request_may_arrive_in_single_bytes(layover):
    with socket.create_connection(("127.0.0.1", layover.port), timeout=5) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in OK:
            connection.sendall(bytes([byte]))
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("opening, more", [(b"", b""), (b"GET /v2/ HTTP/1.1\r\n", b"X-Slow: 1\r\n"), (b"\r\n", b"\r\n")],
                         ids=["silent", "endless", "empty-lines"])
def test_a_client_that_never_finishes_its_request_is_cut_off(layover, opening, more):
    """A slow loris sends a header line now and then; header_timeout is 1 s here."""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", layover.port), timeout=0.3) as connection:
        connection.sendall(opening)
        answer = None
        while answer is None:
            assert time.monotonic() - began < 4, "it is still connected"
            try:
                answer = connection.recv(65536)
            except TimeoutError:
                connection.sendall(more)
            except OSError:
                answer = b""
    assert time.monotonic() - began > 0.8
    assert answer == b"" or answer.startswith(b"HTTP/1.1 408")


def test_two_hundred_stalled_clients_stop_nobody(layover):
    stalled = []
    try:
        for _ in range(200):
            connection = socket.create_connection(("127.0.0.1", layover.port), timeout=5)
            connection.sendall(b"GET /v2/ HTTP/1.1\r\nHost:")
            stalled.append(connection)
        began = time.monotonic()
        assert http_client.fetch(layover.raw_url("/v2/")).status == 200
        assert time.monotonic() - began < 0.5
    finally:
        for connection in stalled:
            connection.close()
