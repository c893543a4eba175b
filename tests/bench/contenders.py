"""Those who are measured: layover and its peers, each with one loop or worker, logging nothing, fed by the same
origin. A contender has a `name`, a `base` (the URL that ends in /v2), processor time, memory and an end."""

import re
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from tests.bench.compiled import program
from tests.bench.content import REGISTRY
from tests.bench.nginx import Nginx
from tests.support import http_client
from tests.support.layover import Layover, cpu_seconds
from tests.support.processes import Process, accepts_connections, free_port, wait_until

CACHING = """proxy_cache_path {directory}/cache levels=1:2 keys_zone=blobs:64m max_size=40g
    inactive=24h use_temp_path=off;
  upstream registry {{ server 127.0.0.1:{upstream}; keepalive 16; }}
  server {{
    listen 127.0.0.1:{port} reuseport backlog=4096;
    location /v2/ {{
      proxy_pass http://registry;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_cache blobs;
      proxy_cache_valid 200 24h;
      proxy_cache_lock on;
      proxy_cache_lock_timeout 1h;
      proxy_cache_lock_age 1h;
    }}
  }}"""
REGISTRY_PROXY = """version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {directory}/storage, maxthreads: 100}}
http: {{addr: "127.0.0.1:{port}"}}
proxy: {{remoteurl: "{upstream}"}}
"""


class Contender:
    """The common part: all that /proc tells of its processes."""

    def __init__(self, name, port):
        self.name, self.port = name, port
        self.base = f"http://127.0.0.1:{port}/v2"

    def pids(self):
        raise NotImplementedError

    def cpu_seconds(self):
        return sum(cpu_seconds(pid) for pid in self.pids())

    def rss_anon(self):
        """Bytes of memory of its own, of all its processes."""
        return sum(int(re.search(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1]) * 1024
                   for pid in self.pids())

    def settle(self):
        """Waits until what it has begun to store is stored."""


class LayoverContender(Contender):
    def __init__(self, directory, origin, name="layover", threads=1, settings=None, cache_path=None):
        quiet = {"log": {"level": "warning", "requests": False}, "defaults": {"tag_ttl": "1h"}, "threads": threads}
        self.server = Layover(directory, {REGISTRY: {"url": origin.url}}, {**quiet, **(settings or {})},
                              default_registry=REGISTRY, cache_path=cache_path).start()
        super().__init__(name, self.server.default_port)
        self.origin = origin

    def pids(self):
        return [self.server.pid]

    def settle(self):
        self.server.settle()

    def stop(self):
        self.server.kill()


class NginxContender(Contender):
    """proxy_cache."""

    def __init__(self, directory, origin, name="nginx", workers=1):
        self._nginx = Nginx(directory, CACHING, workers, upstream=origin.port)
        super().__init__(name, self._nginx.port)

    def pids(self):
        return self._nginx.pids()

    def stop(self):
        self._nginx.stop()


class ProcessContender(Contender):
    """A server that is one process, started by `command` and ended with the contender."""

    def __init__(self, name, port, command, log, env=None, patience=10.0):
        self._process = Process(command, log, env=env)
        self._process.wait_until(lambda: accepts_connections(port), f"{name} listens", patience)
        super().__init__(name, port)

    def pids(self):
        return [self._process.pid]

    def stop(self):
        self._process.stop()


class RegistryContender(ProcessContender):
    """The CNCF registry as Debian has it, in proxy mode; one thread runs Go code at a time."""

    def __init__(self, directory, origin):
        directory.mkdir(parents=True, exist_ok=True)
        port = free_port()
        config = directory / "registry.yml"
        config.write_text(REGISTRY_PROXY.format(directory=directory, port=port, upstream=origin.url))
        self._storage = directory / "storage"
        super().__init__("docker-registry", port, ["docker-registry", "serve", config], directory / "registry.log",
                         env={"OTEL_TRACES_EXPORTER": "none", "GOMAXPROCS": "1"})

    def settle(self):
        uploads = "docker/registry/v2/repositories/*/*/_uploads/*"
        wait_until(lambda: not any(self._storage.glob(uploads)), "the registry has stored what it fetched", 60)


class BareLoop(ProcessContender):
    """programs/bare_loop.c: sends the answer that `like` gives for a path, whatever it is asked."""
    NAME = "bare epoll loop"

    def __init__(self, directory, like, path, method="GET"):
        directory.mkdir(parents=True, exist_ok=True)
        port = free_port()
        answer = directory / "answer"
        answer.write_bytes(_raw_answer(f"{like.base}/{path}", method))
        super().__init__(self.NAME, port, [program("bare_loop"), port, answer], directory / "bare_loop.log")


def _raw_answer(url, method):
    """Every byte of a small answer on a connection that stays open."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
        connection.sendall(f"{method} {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(65536)
        length = 0 if method == "HEAD" else int(re.search(rb"(?i)content-length: *(\d+)", data)[1])
        while len(data) < data.index(b"\r\n\r\n") + 4 + length:
            data += connection.recv(65536)
        return data


class Direct(Contender):
    """No cache at all: the origin itself."""

    def __init__(self, origin):
        super().__init__("direct", origin.port)

    def stop(self):
        """It is not ours to end."""


def warm(contender, tree, path, method="GET"):
    """Fetches it and waits until it is stored, checking every byte."""
    answer = http_client.fetch(f"{contender.base}/{path}", method, timeout=120)
    assert answer.status == 200, f"{contender.name} answers {answer.status} for {path}"
    if method == "GET":
        assert answer.digest == tree.digest(path), f"{contender.name} gives wrong bytes for {path}"
    contender.settle()


def warm_all(contender, tree, paths):
    """The same for many contents, several at once."""
    def fetch(path):
        answer = http_client.fetch(f"{contender.base}/{path}", timeout=120)
        assert (answer.status, answer.digest) == (200, tree.digest(path)), f"{contender.name} does not serve {path}"
    with ThreadPoolExecutor(32) as pool:
        for _ in pool.map(fetch, paths):
            pass
    contender.settle()
