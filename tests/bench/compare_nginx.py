"""Measures cached content against nginx's proxy_cache on this machine: `compare_nginx.py [--rounds N]`.

Both have one worker, are fed by the same static registry, are warm, and log no requests. Rounds alternate
between them, so that a noisy machine is noisy for both. Prints a Markdown table of medians: requests and bytes
a second, and what counts on a loopback, the server's processor time for them."""

import argparse
import hashlib
import json
import re
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.nginx import Nginx  # noqa: E402
from tests.support import http_client, images  # noqa: E402
from tests.support.layover import Layover  # noqa: E402
from tests.support.processes import run  # noqa: E402

REGISTRY, REPOSITORY = "bench.test", "bench/app"
BLOB_SIZE = 400_000_000
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}

STATIC = """server {{
    listen 127.0.0.1:{port};
    root {root};
    location ~ ^/v2/.+/manifests/(sha256:[0-9a-f]+)$ {{
      default_type application/vnd.oci.image.manifest.v1+json;
      add_header Docker-Content-Digest $1;
    }}
    location ~ ^/v2/.+/blobs/(sha256:[0-9a-f]+)$ {{
      default_type application/octet-stream;
      add_header Docker-Content-Digest $1;
    }}
  }}"""
CACHING = """proxy_cache_path {directory}/cache levels=1:2 keys_zone=blobs:16m max_size=10g
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
    }}
  }}"""


class Server:
    """One contender: where its content is, and how to read its processor time."""

    def __init__(self, name, base, read_cpu_seconds):
        self.name, self.base, self.cpu_seconds = name, base, read_cpu_seconds


def make_content(root):
    """The static registry's tree; gives the paths of the manifest and of the blob."""
    blob_file = images.random_file(BLOB_SIZE)
    with open(blob_file, "rb") as file:
        blob = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": images.MANIFEST,
        "config": {"mediaType": images.CONFIG, "digest": f"sha256:{0:064x}", "size": 2},
        "layers": [{"mediaType": images.LAYER, "digest": blob, "size": BLOB_SIZE}] * 8}).encode()
    digest = "sha256:" + hashlib.sha256(manifest).hexdigest()
    tree = root / "v2" / REPOSITORY
    (tree / "manifests").mkdir(parents=True)
    (tree / "blobs").mkdir()
    (tree / "manifests" / digest).write_bytes(manifest)
    (tree / "blobs" / blob).symlink_to(blob_file)
    return f"{REPOSITORY}/manifests/{digest}", f"{REPOSITORY}/blobs/{blob}"


def warm(server, path):
    """Fetches it until it is surely stored, and checks it."""
    digest = path.rpartition("/")[2]
    for _ in range(2):
        answer = http_client.fetch(f"{server.base}/{path}", timeout=120)
        assert (answer.status, answer.digest) == (200, digest), f"{server.name} does not serve {path}"


def measure(server, path, connections, seconds):
    """One round of wrk: (requests, bytes, server's CPU seconds) per second of the clock."""
    before = server.cpu_seconds()
    output = run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "60s",
                  f"{server.base}/{path}"], timeout=seconds + 90).stdout
    used = server.cpu_seconds() - before
    assert not re.search(r"Non-2xx|connect [1-9]|read [1-9]|write [1-9]", output), output
    found = re.search(r"(\d+) requests in ([\d.]+)s, ([\d.]+)([KMGT]?)B read", output)
    took = float(found[2])
    return int(found[1]) / took, float(found[3]) * UNITS[found[4]] / took, used / took


def compare(servers, path, connections, rounds, seconds):
    """name -> [(requests/s, bytes/s, CPU s/s), ...], the servers taking turns."""
    for server in servers:
        warm(server, path)
    results = {server.name: [] for server in servers}
    for number in range(rounds):
        for server in servers if number % 2 == 0 else servers[::-1]:
            results[server.name].append(measure(server, path, connections, seconds))
            print(".", end="", file=sys.stderr, flush=True)
    return results


def row(title, results, figure, unit, more_is_better):
    medians = {name: statistics.median(figure(*r) for r in rounds) for name, rounds in results.items()}
    ratio = medians["layover"] / medians["nginx"]
    better = ratio if more_is_better else 1 / ratio
    ours, theirs = (f"{readable(medians[name])} {unit}" for name in ("layover", "nginx"))
    return f"| {title} | {ours} | {theirs} | {better:.2f} |"


def readable(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def report(manifests, blobs):
    return "\n".join([
        "| cached | layover | nginx | layover is better by |", "| --- | --- | --- | --- |",
        row("manifest, 64 connections", manifests, lambda r, b, c: r, "requests/s", True),
        row("manifest, server CPU", manifests, lambda r, b, c: c / r * 1e6, "µs a request", False),
        row("400 MB blob, 8 connections", blobs, lambda r, b, c: b / 1e9, "GB/s", True),
        row("400 MB blob, server CPU", blobs, lambda r, b, c: c / b * 1e9, "s a GB", False)])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="of each server and each content")
    parser.add_argument("--seconds", type=int, default=5, help="a round")
    arguments = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="layover-bench-", dir=images.cache()))
    stops = []
    try:
        manifest, blob = make_content(directory / "root")
        origin = Nginx(directory / "origin", STATIC, root=directory / "root")
        stops.append(origin.stop)
        nginx = Nginx(directory / "nginx", CACHING, upstream=origin.port)
        stops.append(nginx.stop)
        layover = Layover(directory / "layover", {REGISTRY: {"url": f"http://127.0.0.1:{origin.port}"}},
                          {"threads": 1, "log": {"level": "warning", "requests": False}}, default_registry=REGISTRY).start()
        stops.append(layover.kill)
        servers = [Server("layover", f"http://127.0.0.1:{layover.default_port}/v2", layover.cpu_seconds),
                   Server("nginx", f"http://127.0.0.1:{nginx.port}/v2", nginx.cpu_seconds)]
        print(report(compare(servers, manifest, 64, arguments.rounds, arguments.seconds),
                     compare(servers, blob, 8, arguments.rounds, arguments.seconds)))
    finally:
        for stop in reversed(stops):
            stop()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
