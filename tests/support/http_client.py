"""A client for the tests that sees what engines see: status, headers, and exactly the body bytes that
arrived, whole or cut short. It never follows, retries or decompresses."""

import hashlib
import http.client
import json
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes
    is_whole: bool   # the body ended where the headers said it would

    @property
    def digest(self):
        return "sha256:" + hashlib.sha256(self.body).hexdigest()

    @property
    def cache(self):
        """X-Cache: HIT, MISS, JOINED, ..."""
        return self.headers.get("X-Cache")

    def error_codes(self):
        """The codes of a JSON error as the distribution specification has it."""
        return [error["code"] for error in json.loads(self.body)["errors"]]


def fetch(url, method="GET", headers=None, timeout=30):
    """One request on a connection of its own."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, headers=headers or {})
        response = connection.getresponse()
        try:
            body, is_whole = response.read(), True
        except http.client.IncompleteRead as cut:
            body, is_whole = cut.partial, False
        return Answer(response.status, response.headers, body, is_whole)
    finally:
        connection.close()


class OpenDownload:
    """A GET whose body the test reads at its own pace."""

    def __init__(self, url, headers=None, timeout=30):
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
        self._connection.request("GET", parts.path + (f"?{parts.query}" if parts.query else ""),
                                 headers=headers or {})
        self.response = self._connection.getresponse()
        self.received = 0

    def read(self, size):
        """Up to `size` bytes; b"" at the end."""
        data = self.response.read1(size)
        self.received += len(data)
        return data

    def read_exactly(self, size):
        data = b""
        while len(data) < size:
            part = self.read(size - len(data))
            if not part:
                break
            data += part
        return data

    def read_rest(self):
        try:
            data = self.response.read()
        except http.client.IncompleteRead as cut:
            data = cut.partial
        self.received += len(data)
        return data

    def close(self):
        self._connection.close()


def exchange(port, request, timeout=5):
    """Sends raw bytes and gives all that comes back until the peer closes or is silent for `timeout`."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        try:
            connection.sendall(request)
        except OSError:
            pass  # refused before all was sent: the answer tells why
        return read_to_end(connection)


def read_to_end(connection):
    data = b""
    while True:
        try:
            part = connection.recv(65536)
        except OSError:
            return data
        if not part:
            return data
        data += part


def split_answers(data):
    """The answers in a raw byte stream, as (status, headers, body); HEAD answers are not supported."""
    answers = []
    while data:
        head, separator, data = data.partition(b"\r\n\r\n")
        if not separator:
            break
        lines = head.split(b"\r\n")
        headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(b":") for line in lines[1:])}
        length = int(headers.get(b"content-length", 0))
        answers.append((int(lines[0].split()[1]), headers, data[:length]))
        data = data[length:]
    return answers
