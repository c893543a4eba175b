"""A reverse proxy in front of a registry that plays "upstream" for layover: it records every request,
and a test scripts what goes wrong (slow, corrupt, short, refusing, redirecting, stopped)."""

import http.client
import json
import re
import threading
import time
import urllib.parse
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.support.https_server import Handler, HttpsServer
from tests.support.token_server import basic_credentials, token_claims

CHUNK = 256 * 1024
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}
_RESOURCE = re.compile(r"^/v2/(?P<repository>.+)/(?P<kind>manifests|blobs|tags|referrers)/(?P<reference>[^/?]+)")


@dataclass
class Recorded:
    """One request as upstream saw it. `sent` counts the body bytes that were sent back."""
    method: str
    path: str
    query: str
    headers: dict
    kind: str
    repository: str
    reference: str
    status: int = 0
    sent: int = 0
    began: float = field(default_factory=time.monotonic)
    ended: float | None = None

    @property
    def range(self):
        return self.headers.get("range")

    @property
    def authorization(self):
        return self.headers.get("authorization")


@dataclass(frozen=True)
class Corruption:
    """What happens to one body, whichever part of it is asked for; places are fractions of the whole."""
    flip: float | None = None     # the byte that has one bit flipped: 0.0 is the first, 1.0 the last
    cut: float | None = None      # the connection is closed here, each time
    is_once: bool = False         # the next request for it is answered well
    longer: int = 0               # so many bytes more in Content-Length and in the body; less if negative
    extra: bytes = b""            # sent after the body, beyond Content-Length
    replace: bytes | None = None  # other bytes altogether


FIRST_BYTE = Corruption(flip=0.0)
MIDDLE_BYTE = Corruption(flip=0.5)
LAST_BYTE = Corruption(flip=1.0)
ONE_BYTE_SHORT = Corruption(longer=-1)
ONE_BYTE_LONG = Corruption(longer=1)
CUT_IN_THE_MIDDLE = Corruption(cut=0.5)
ANSWER_AFTER_THE_END = Corruption(extra=b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")


@dataclass(frozen=True)
class TagList:
    """Tags in pages of at most `limit`, as larger registries give them. The next page's place is
    `link_base` and a path: empty for a relative one, or the registry's own address."""
    tags: list
    limit: int
    link_base: str = ""

    def page(self, path, query):
        """The body and the headers of one answer."""
        asked = dict(urllib.parse.parse_qsl(query))
        size = min(int(asked.get("n", self.limit)), self.limit)
        rest = [tag for tag in sorted(self.tags) if tag > asked.get("last", "")]
        body = json.dumps({"name": path.removeprefix("/v2/").removesuffix("/tags/list"), "tags": rest[:size]})
        more = urllib.parse.urlencode({"last": rest[size - 1], "n": size}) if 0 < size < len(rest) else None
        link = [("Link", f'<{self.link_base}{path}?{more}>; rel="next"')] if more else []
        return body.encode(), [("Content-Type", "application/json"), *link]


class Hold:
    """Stops a body after `offset` bytes until `release()`; `reached` tells that it has got there."""

    def __init__(self, offset):
        self.offset = offset
        self.reached = threading.Event()
        self._go_on = threading.Event()

    def release(self):
        self._go_on.set()

    def wait_here(self):
        self.reached.set()
        self._go_on.wait(60)


class RecordingProxy:
    """`challenge` is the WWW-Authenticate of the 401s that the script itself gives."""

    def __init__(self, target, tls=None, challenge='Basic realm="registry"'):
        self.target = target
        self.challenge = challenge
        self.scheme = "https" if tls is not None else "http"
        self._lock = threading.Lock()
        self._requests = []
        self.reset()
        self._server = HttpsServer(_ProxyHandler, self, tls)

    def reset(self):
        """Forgets the requests and behaves well from here on."""
        self.forget()
        self.bytes_per_second = None   # of each blob body
        self.corruptions = {}          # digest -> Corruption
        self.holds = {}                # digest -> Hold
        self.refusals = {}             # repository -> status of all its answers
        self.claims = {}               # digest -> size: HEAD says 200 to these, whatever the repository
        self.tag_lists = {}            # repository -> TagList, which Debian's registry would give in one piece
        self.redirect_blobs = None     # function (path, query) -> Location, or None for no redirect
        self.headers = []              # (name, value) on all that the registry itself answers
        self.basic = None              # (user, password) to ask for, instead of tokens
        self.refuses_expired_tokens = False  # the registry itself allows a minute's grace
        self.refuses_authorization = False   # as presigned URLs do

    @property
    def host(self):
        return f"127.0.0.1:{self._server.port}"

    @property
    def url(self):
        return f"{self.scheme}://{self.host}"

    def start(self):
        self._server.start()

    def stop(self):
        for hold in self.holds.values():
            hold.release()
        self._server.stop()

    @contextmanager
    def stopped(self):
        """Upstream is down: connections are refused, open ones cut."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def forget(self):
        with self._lock:
            self._requests = []

    def requests(self, **fields):
        """What came in with these values, for example method="GET", kind="blobs"."""
        with self._lock:
            return [r for r in self._requests if all(getattr(r, k) == v for k, v in fields.items())]

    def count(self, **fields):
        """How many requests were *answered by the registry* (a 401 challenge is only the way there)."""
        return sum(r.status != 401 for r in self.requests(**fields))

    def record(self, request):
        with self._lock:
            self._requests.append(request)


class _ProxyHandler(Handler):
    def do_GET(self):
        proxy = self.owner
        self.seen = self._note()
        try:
            if not self._is_answered_here(proxy):
                self._forward(proxy)
        finally:
            self.seen.ended = time.monotonic()

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def answer(self, status, headers=(), body=b""):
        self.seen.status = status
        super().answer(status, headers, body)
        self.seen.sent = 0 if self.command == "HEAD" else len(body)

    def _note(self):
        path, _, query = self.path.partition("?")
        found = _RESOURCE.match(path)
        seen = Recorded(self.command, path, query, {k.lower(): v for k, v in self.headers.items()},
                        found["kind"] if found else ("ping" if path == "/v2/" else "other"),
                        found["repository"] if found else "", found["reference"] if found else "")
        self.owner.record(seen)
        return seen

    def _is_answered_here(self, proxy):
        """Sends the answers that the script gives without asking the registry."""
        seen = self.seen
        if proxy.refuses_authorization and seen.authorization:
            self._error(400, "InvalidArgument")
        elif seen.repository in proxy.refusals:
            self._error(proxy.refusals[seen.repository], "DENIED")
        elif proxy.basic and basic_credentials(seen.authorization) != proxy.basic:
            self._error(401, "UNAUTHORIZED")
        elif self.command == "HEAD" and seen.reference in proxy.claims:
            self._claim(proxy.claims[seen.reference])
        elif seen.kind == "tags" and seen.repository in proxy.tag_lists:
            body, headers = proxy.tag_lists[seen.repository].page(seen.path, seen.query)
            self.answer(200, headers, body)
        elif location := self._redirect(proxy):
            self.answer(307, [("Location", location)])
        else:
            return False
        return True

    def _redirect(self, proxy):
        is_blob = self.seen.kind == "blobs" and self.command in ("GET", "HEAD")
        return proxy.redirect_blobs(self.seen.path, self.seen.query) if proxy.redirect_blobs and is_blob else None

    def _error(self, status, code):
        headers = [("WWW-Authenticate", self.owner.challenge)] if status == 401 else []
        self.answer(status, [("Content-Type", "application/json"), *headers],
                    b'{"errors":[{"code":"%s","message":"as scripted"}]}' % code.encode())

    def _claim(self, size):
        self.seen.status = 200
        self.send_response_only(200)
        self.send_header("Content-Length", str(size))
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Docker-Content-Digest", self.seen.reference)
        self.end_headers()

    def _forward(self, proxy):
        connection = http.client.HTTPConnection(*proxy.target, timeout=60)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self._forwarded_headers(proxy):
                connection.putheader(name, value)
            connection.endheaders()
            self._send_request_body(connection)
            self._relay(proxy, connection.getresponse())
        finally:
            connection.close()

    def _forwarded_headers(self, proxy):
        for name, value in self.headers.items():
            if name.lower() in HOP_BY_HOP - {"content-length", "transfer-encoding"}:
                continue
            if name.lower() == "authorization" and self._is_dropped(proxy, value):
                continue
            yield name, value
        yield "X-Forwarded-Proto", proxy.scheme
        yield "Connection", "close"

    def _is_dropped(self, proxy, authorization):
        if proxy.basic:
            return True
        is_bearer = authorization.lower().startswith("bearer ")
        return bool(proxy.refuses_expired_tokens and is_bearer
                    and token_claims(authorization[7:])["exp"] < time.time())

    def _send_request_body(self, connection):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                connection.send(b"%x\r\n%s\r\n" % (size, self.rfile.read(size)))
                self.rfile.readline()
            self.rfile.readline()
            connection.send(b"0\r\n\r\n")
            return
        left = int(self.headers.get("Content-Length", 0))
        while left > 0:
            data = self.rfile.read(min(left, CHUNK))
            connection.send(data)
            left -= len(data)

    def _relay(self, proxy, response):
        self.seen.status = response.status
        size = int(response.headers.get("Content-Length", 0))
        is_body = response.status in (200, 206) and self.command == "GET"
        corruption = proxy.corruptions.get(self.seen.reference, Corruption()) if is_body else Corruption()
        if corruption.is_once:
            proxy.corruptions.pop(self.seen.reference, None)
        if corruption.replace is not None:
            size = len(corruption.replace)
        self.send_response_only(response.status)
        for name, value in response.headers.items():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        for name, value in proxy.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(size + corruption.longer))
        self.end_headers()
        if self.command != "HEAD":
            _BodySender(self, proxy, corruption, response, size).send()


class _BodySender:
    """Sends one body at the scripted speed, with the scripted faults."""

    def __init__(self, handler, proxy, corruption, response, size):
        self._handler = handler
        self._response = response
        self._corruption = corruption
        # Places in the whole blob; a 206 begins somewhere in it.
        content_range = response.headers.get("Content-Range", f"bytes 0-{size - 1}/{size}")
        self._place = int(re.match(r"bytes (\d+)-", content_range)[1])
        self._end = self._place + size + min(corruption.longer, 0)
        self._whole = int(content_range.rpartition("/")[2])
        is_blob = handler.seen.kind == "blobs" and handler.command == "GET"
        self._rate = proxy.bytes_per_second if is_blob else None
        self._hold = proxy.holds.get(handler.seen.reference) if is_blob else None
        self._began = time.monotonic()

    def send(self):
        corruption = self._corruption
        if corruption.replace is not None:
            self._response.read()
            return self._send(memoryview(bytearray(corruption.replace)))
        end = self._end if corruption.cut is None else min(self._end, int(self._whole * corruption.cut))
        buffer = bytearray(CHUNK)
        while self._place < end:
            n = self._response.readinto(memoryview(buffer)[:min(self._step(), end - self._place)])
            if n == 0:
                break
            self._flip(buffer, n)
            self._send(memoryview(buffer)[:n])
        if self._place < self._end:
            self._handler.close_connection = True
            return None
        return self._send(memoryview(b"\0" * corruption.longer + corruption.extra))

    def _step(self):
        """Up to one chunk, but not across the place where the body is held."""
        if self._hold is not None and self._place >= self._hold.offset:
            waited_from = time.monotonic()
            self._hold.wait_here()
            self._began += time.monotonic() - waited_from
            self._hold = None
        if self._hold is not None:
            return min(CHUNK, self._hold.offset - self._place)
        return CHUNK if not self._rate else min(CHUNK, max(1024, self._rate // 50))

    def _flip(self, buffer, n):
        if self._corruption.flip is None:
            return
        at = int((self._whole - 1) * self._corruption.flip) - self._place
        if 0 <= at < n:
            buffer[at] ^= 0x01

    def _send(self, data):
        if self._rate:
            early = self._handler.seen.sent / self._rate - (time.monotonic() - self._began)
            if early > 0:
                time.sleep(early)
        self._handler.connection.sendall(data)
        self._place += len(data)
        self._handler.seen.sent += len(data)
