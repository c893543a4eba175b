"""Measures cold downloads against going direct, from an upstream that limits each connection's speed, and from
one that does not: `slow_upstream.py [--rounds N] [--rate BYTES_PER_SECOND]`.

Upstream is nginx with a static blob of 400 MB. Direct and through an empty layover alternate. Prints a Markdown
table: medians of the times, and how many bytes of bodies upstream sent for each blob through layover."""

import argparse
import hashlib
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.nginx import Nginx  # noqa: E402
from tests.support import images  # noqa: E402
from tests.support.layover import Layover  # noqa: E402
from tests.support.processes import run  # noqa: E402

REGISTRY, REPOSITORY = "bench.test", "bench/app"
SIZE = 400_000_000
SERVER = """log_format sent '$body_bytes_sent';
  server {{
    access_log {directory}/sent.log sent;
    listen 127.0.0.1:{port};
    root {root};
    {limit}
    location ~ ^/v2/.+/blobs/(sha256:[0-9a-f]+)$ {{
      default_type application/octet-stream;
      add_header Docker-Content-Digest $1;
    }}
  }}"""


def make_blob(root):
    """Its digest."""
    source = images.random_file(SIZE)
    with open(source, "rb") as file:
        digest = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    folder = root / "v2" / REPOSITORY / "blobs"
    folder.mkdir(parents=True)
    shutil.copy(source, folder / digest)
    return digest


def download(url):
    """Seconds that it took; all of it must come."""
    began = time.monotonic()
    size = run(["curl", "-sSf", "-o", "/dev/null", "-w", "%{size_download}", url], timeout=600).stdout
    assert int(size) == SIZE, f"{size} bytes of {SIZE}"
    return time.monotonic() - began


class Upstream:
    def __init__(self, directory, root, rate):
        self.sent_log = directory / "sent.log"
        self._nginx = Nginx(directory, SERVER, root=root, limit=f"limit_rate {rate};" if rate else "")
        self.port = self._nginx.port

    def sent(self):
        """Bytes of bodies so far."""
        return sum(int(line) for line in self.sent_log.read_text().split())

    def stop(self):
        self._nginx.stop()


def measure(directory, root, digest, rate, rounds):
    upstream = Upstream(directory / f"nginx-{rate}", root, rate)
    direct, through, share = [], [], []
    path = f"v2/{REPOSITORY}/blobs/{digest}"
    try:
        for number in range(rounds):
            direct.append(download(f"http://127.0.0.1:{upstream.port}/{path}"))
            before = upstream.sent()
            layover = Layover(directory / f"layover-{rate}-{number}",
                              {REGISTRY: {"url": f"http://127.0.0.1:{upstream.port}"}}, {"log": {"level": "info"}})
            layover.start()
            through.append(download(layover.url(REGISTRY, f"{REPOSITORY}/blobs/{digest}")))
            layover.settle()
            layover.stop()
            share.append((upstream.sent() - before) / SIZE)
            shutil.rmtree(layover.cache_path)
    finally:
        upstream.stop()
    return statistics.median(direct), statistics.median(through), max(share)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=int, default=10_000_000, help="of each connection to the slow upstream")
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="layover-slow-"))
    try:
        digest = make_blob(directory / "root")
        print("| upstream | direct | through layover, cold | ratio | upstream bytes, at most |")
        print("| --- | --- | --- | --- | --- |")
        for rate in (options.rate, 0):
            direct, through, share = measure(directory, directory / "root", digest, rate, options.rounds)
            name = f"{rate / 1e6:g} MB/s a connection" if rate else "not limited"
            print(f"| {name} | {direct:.2f} s | {through:.2f} s | {direct / through:.2f}x | {share:.4f}x |")
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
