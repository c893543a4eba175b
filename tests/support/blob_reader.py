"""One client of a joined download, as a program of its own, so that twenty of them cost the test no
time: `blob_reader.py URL [BYTES_PER_SECOND]`. It connects, waits for "go" on standard input, and prints
one JSON line at the first body byte and one at the end. "free" on standard input lifts the limit."""

import hashlib
import http.client
import json
import select
import socket
import sys
import time
from urllib.parse import urlsplit

CHUNK = 256 * 1024
SLOW_CHUNK = 16 * 1024


def main():
    url, rate = urlsplit(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=120)
    connection.sock = connect(url, rate)
    sys.stdin.readline()
    began = time.monotonic()
    connection.request("GET", url.path)
    response = connection.getresponse()
    digest, received = hashlib.sha256(), 0
    buffer = bytearray(CHUNK)
    while n := response.readinto(memoryview(buffer)[:SLOW_CHUNK if rate else CHUNK]):
        if received == 0:
            tell(status=response.status, cache=response.headers.get("X-Cache"),
                 first_byte_after=time.monotonic() - began)
        digest.update(memoryview(buffer)[:n])
        received += n
        if rate and is_freed_while_waiting(began + received / rate - time.monotonic()):
            rate = None
    tell(digest=f"sha256:{digest.hexdigest()}", received=received, ended=time.monotonic())


def connect(url, rate):
    peer = socket.socket()
    if rate:  # A small window, so that the kernel does not read far ahead of the slow client.
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 256 * 1024)
    peer.settimeout(120)
    peer.connect((url.hostname, url.port))
    return peer


def is_freed_while_waiting(seconds):
    readable, _, _ = select.select([sys.stdin], [], [], max(0, seconds))
    return bool(readable)


def tell(**facts):
    print(json.dumps(facts), flush=True)


main()
