"""The logs of the real program: a line a request on standard output, in both forms; no secret in any of
them; and a standard output that nobody reads stops nothing."""

import base64
import json
import os
import re
import socket
from types import SimpleNamespace

import pytest

from tests.support import http_client
from tests.support.processes import wait_until
from tests.support.site import PULLER

REGISTRY = "registry-a.test"
MANIFEST = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
FIELDS = {"time", "client", "method", "kind", "registry", "repository", "reference", "status", "bytes",
          "duration_ms", "first_byte_ms", "cache", "upstream", "ending", "user_agent", "request_id"}
_PAIR = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S+)(?: |$)')
_TEXT_LINE = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (trace|debug|info|warning|error) ")

pytestmark = pytest.mark.parametrize("form", ["text", "json"])


def parse_text(line):
    """A line of `name=value`, as the members of its JSON form."""
    fields = {name: json.loads(value) if value.startswith('"') else value for name, value in _PAIR.findall(line)}
    for name, value in fields.items():
        if value == "-":
            fields[name] = None
        elif value in ("true", "false"):
            fields[name] = value == "true"
        elif name in ("status", "bytes"):
            fields[name] = int(value)
        elif name.endswith("_ms"):
            fields[name] = float(value)
    return fields


class RequestLog:
    """What is on standard output, a file."""

    def __init__(self, path, form):
        self.path, self.form = path, form

    def text(self):
        return self.path.read_text()

    def lines(self):
        if self.form == "json":
            return [json.loads(line) for line in self.text().splitlines()]
        return [parse_text(line) for line in self.text().splitlines() if line.startswith("time=")]

    def line_of(self, answer):
        """The line of an answer, by its request id: it may come a moment later."""
        wanted = answer.headers["X-Request-Id"]
        return wait_until(lambda: next((l for l in self.lines() if l["request_id"] == wanted), None),
                          f"request {wanted} is logged")


@pytest.fixture
def logged(form, start_layover, site_a, upstream, token_server, tmp_path):
    """A layover that is PULLER upstream, and its request log."""
    path = tmp_path / "stdout"
    with open(path, "wb") as stdout:
        layover = start_layover({REGISTRY: site_a.settings(upstream, PULLER, token_realms=[token_server.host])},
                                {"log": {"format": form}}, stdout=stdout.fileno())
        yield SimpleNamespace(layover=layover, log=RequestLog(path, form))


@pytest.fixture
def cdn(site_a):
    proxy = site_a.upstream_without_tokens()
    yield proxy
    proxy.stop()


def test_each_request_of_a_pull_has_its_line(logged, seeded, skopeo):
    layover, log = logged.layover, logged.log
    source = f"127.0.0.1:{layover.port}/{REGISTRY}/public/app:1.0"
    skopeo.copy(source)
    layover.settle()
    skopeo.copy(source)
    layover.stop()
    lines = log.lines()
    assert lines and all(FIELDS <= line.keys() for line in lines)
    # skopeo says hello in TLS first, which is no request that could be read.
    assert all(line["status"] == 400 for line in lines if line["method"] is None)
    lines = [line for line in lines if line["method"] is not None]
    assert all("skopeo" in line["user_agent"] and line["client"] == "127.0.0.1" for line in lines)
    assert all(line["status"] == 200 and line["ending"] == "complete" for line in lines)
    content = [line for line in lines if line["kind"] != "ping"]
    assert all((line["registry"], line["repository"]) == (REGISTRY, "public/app") for line in content)
    blobs = [(line["reference"], line["cache"], line["upstream"]) for line in content if line["kind"] == "blob"]
    for digest in seeded.app.blob_digests():
        assert (digest, "miss", True) in blobs
        assert (digest, "hit", False) in blobs


def test_each_kind_of_answer_says_what_it_was(logged, site_a, upstream, token_server, random_bytes):
    layover, log = logged.layover, logged.log
    image = site_a.open.plant_image("private/lines", "1.0", [random_bytes(100_000)])
    _, digest = image.blobs  # the layer: a configuration comes with its manifest

    def get(path, method="GET", **headers):
        answer = layover.get(REGISTRY, path, method, {**MANIFEST, **headers})
        line = log.line_of(answer)
        assert (line["status"], line["method"]) == (answer.status, method)
        assert line["bytes"] == len(answer.body)
        return line

    assert get("private/lines/manifests/1.0")["cache"] == "miss"
    layover.settle()
    assert get("private/lines/manifests/1.0", "HEAD")["kind"] == "manifest"
    assert get(f"private/lines/blobs/{digest}")["cache"] == "miss"
    layover.settle()
    part = get(f"private/lines/blobs/{digest}", Range="bytes=0-99")
    assert (part["cache"], part["bytes"], part["upstream"]) == ("hit", 100, False)
    assert get("private/lines/manifests/none")["status"] == 404
    assert get("private/lines/manifests/1.0?ns=evil.example")["registry"] == "evil.example"
    assert get("private/lines/uploads", "POST")["path"].endswith("private/lines/uploads")
    upstream.stop()
    token_server.stop()
    layover.restart()
    assert get("private/lines/manifests/1.0")["cache"] == "stale"


def test_no_secret_is_in_any_log(logged, site_a, upstream, token_server, cdn, random_bytes, skopeo):
    layover = logged.layover
    image = site_a.open.plant_image("private/secrets", "1.0", [random_bytes(100_000) for _ in range(3)])
    upstream.redirect_blobs = lambda path, query: f"{cdn.url}{path}?X-Signature=presigned-secret"
    skopeo.copy(f"127.0.0.1:{layover.port}/{REGISTRY}/private/secrets:1.0")
    assert len(cdn.requests()) >= len(image.blobs)
    own = base64.b64encode(b"client:client-secret").decode()
    headers = {**MANIFEST, "Authorization": f"Basic {own}", "Cookie": "session=client-secret"}
    for path in ("private/secrets/manifests/1.0", "private/secrets/manifests/none?sig=client-secret",
                 "private/secrets/elsewhere?sig=client-secret"):
        layover.get(REGISTRY, path, headers=headers)
    # Trouble is logged with more words: on the way to a presigned URL, and with the token service.
    cdn.stop()
    other = site_a.open.plant_blob("private/secrets", random_bytes(100_000))
    assert layover.get(REGISTRY, f"private/secrets/blobs/{other}", headers=headers).status >= 500
    token_server.stop()
    layover.restart()
    assert layover.get(REGISTRY, "private/secrets/manifests/other", headers=headers).status >= 400
    layover.stop()

    tokens = {r.authorization.split()[1] for r in upstream.requests() if r.authorization}
    assert tokens, "tokens were used"
    password = PULLER[1]
    secrets = {"presigned-secret", "client-secret", own, password, *tokens,
               base64.b64encode(":".join(PULLER).encode()).decode()}
    everything = logged.log.text() + layover.output()
    assert "private/secrets" in everything
    for secret in secrets:
        assert secret not in everything


def test_the_programs_own_lines_have_the_same_form(logged, form):
    logged.layover.stop()
    lines = logged.layover.output().splitlines()
    assert lines, "it says at least that it stops"
    for line in lines:
        if form == "text":
            assert _TEXT_LINE.match(line)
        else:
            assert {"time", "level", "message"} == json.loads(line).keys()


def test_requests_can_be_left_out(form, start_layover, site_a, upstream, tmp_path):
    path = tmp_path / "stdout"
    with open(path, "wb") as stdout:
        layover = start_layover({REGISTRY: site_a.settings(upstream)},
                                {"log": {"format": form, "requests": False}}, stdout=stdout.fileno())
        assert http_client.fetch(layover.raw_url("/v2/")).status == 200
        layover.stop()
    assert "/v2/" not in path.read_text() and "ping" not in path.read_text()


def ask(connection, count):
    """So many pings on one connection, each with a long name of the client."""
    request = b"GET /v2/ HTTP/1.1\r\nHost: a\r\nUser-Agent: " + b"a" * 256 + b"\r\n\r\n"
    answered = 0
    for _ in range(count // 100):
        connection.sendall(request * 100)
        received = b""
        while received.count(b"HTTP/1.1 200 OK") < 100 or not received.endswith(b"{}"):
            data = connection.recv(65536)
            assert data, "the connection has ended"
            received += data
        answered += 100
    return answered


def test_a_standard_output_that_nobody_reads_stops_nothing(form, start_layover, site_a, upstream):
    reading, writing = os.pipe()
    try:
        layover = start_layover({REGISTRY: site_a.settings(upstream)}, {"log": {"format": form}}, stdout=writing)
        with socket.create_connection(("127.0.0.1", layover.port), timeout=10) as connection:
            assert ask(connection, 6000) == 6000   # 3 MB of lines
            told = re.compile(r"(\d+) lines of the request log were dropped")
            wait_until(lambda: told.search(layover.output()), "dropped lines are told")
        layover.stop(timeout=10)
        dropped = sum(int(count) for count in told.findall(layover.output()))
        os.close(writing)
        writing = None
        with open(reading, "rb", closefd=False) as pipe:
            written = sum(b"request_id" in line and line.endswith(b"\n") for line in pipe)
        assert written + dropped == 6000, "each request is either there or counted"
    finally:
        os.close(reading)
        if writing is not None:
            os.close(writing)


def test_a_standard_output_whose_reader_has_gone_stops_nothing(form, start_layover, site_a, upstream):
    reading, writing = os.pipe()
    try:
        layover = start_layover({REGISTRY: site_a.settings(upstream)}, {"log": {"format": form}}, stdout=writing)
        os.close(reading)
        with socket.create_connection(("127.0.0.1", layover.port), timeout=10) as connection:
            assert ask(connection, 200) == 200
        wait_until(lambda: "lines of the request log were dropped" in layover.output(), "dropped lines are told")
        layover.stop(timeout=10)
    finally:
        os.close(writing)
