"""Whole images by real engines, from a registry that is far away and limits each connection."""

import shutil
import sys
import tarfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.bench.contenders import LayoverContender
from tests.bench.content import REGISTRY, REPOSITORY, Origin, Tree
from tests.bench.line import VALUE, Line, at_most
from tests.support import images
from tests.support.engines import Containerd
from tests.support.processes import Process, accepts_connections, free_port, run, wait_until

ROUND_TRIP_MS, RATE = 50, 15_000_000
# Megabytes. The first is new in the second version of the image.
LAYERS = (25, 100, 60, 40, 15, 10, 8, 5, 3, 2, 1, 0.5)
FAR = "far.test"  # containerd's name for the upstream itself


def image_by_skopeo(bench):
    """whole image of 12 layers, cold and with one new layer, by skopeo, from far away"""
    def pull(base, _, tag):
        target = bench.new_directory("pulled")
        began = time.monotonic()
        # Into a layout, since skopeo writes to a `dir:` one layer after the other.
        run(["skopeo", "--insecure-policy", "copy", "--quiet", "--preserve-digests", "--src-tls-verify=false",
             f"docker://{base}/{REPOSITORY}:{tag}", f"oci:{target}:latest"], timeout=600)
        took = time.monotonic() - began
        # skopeo has compared every digest: what is there by its name has the right bytes.
        names = {path.name for path in (target / "blobs" / "sha256").iterdir()}
        bench.remove(target)
        return took, names

    with ExitStack() as stack:
        return _compare(bench, stack, "skopeo", pull)


def image_by_containerd(bench):
    """the same by containerd, with unpacking"""
    with ExitStack() as stack:
        engine = bench.keep(stack, Containerd(bench.new_directory("containerd")))

        def pull(base, registry, tag):
            engine.mirror(registry, base.rpartition(":")[2])
            began = time.monotonic()
            engine.pull(f"{registry}/{REPOSITORY}:{tag}")
            took = time.monotonic() - began
            names = {digest.removeprefix("sha256:") for digest in engine.content_digests()}
            engine.forget()
            return took, names

        return _compare(bench, stack, "containerd", pull)


ROWS = [image_by_skopeo, image_by_containerd]


class Far:
    """An origin behind delay_relay.py."""

    def __init__(self, directory, tree):
        self._origin = Origin(directory, tree, RATE, is_counted=True)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._relay = Process([sys.executable, "-E", "-s", Path(__file__).with_name("delay_relay.py"), self.port,
                               self._origin.port, ROUND_TRIP_MS], directory / "relay.log")
        self._relay.wait_until(lambda: accepts_connections(self.port), "the relay listens")
        self.sent = self._origin.sent

    def stop(self):
        self._relay.stop()
        self._origin.stop()


class Image:
    """Two versions in a tree, `first` and `second`, that differ in one layer and the configuration."""

    def __init__(self, tree, scale):
        sizes = [max(1000, int(size * 1_000_000 * scale)) for size in LAYERS]
        old = [_tar(size, number) for number, size in enumerate(sizes)]
        new = [_tar(sizes[0], len(sizes)), *old[1:]]
        self.size = sum(path.stat().st_size for path in old)
        self.names, self.new_bytes = {}, 0
        for tag, layers in (("first", old), ("second", new)):
            self.names[tag], added = self._add(tree, tag, layers)
            self.new_bytes = layers[0].stat().st_size + added

    @staticmethod
    def _add(tree, tag, layers):
        descriptors = [tree.add_blob_file(path, images.LAYER) for path in layers]
        config = images.image_config([layer["digest"] for layer in descriptors])
        config_path = tree.add_blob(config)
        config_digest = tree.digest(config_path)
        manifest, size = tree.add_image({"mediaType": images.CONFIG, "digest": config_digest, "size": len(config)},
                                        descriptors, tag)
        digests = {manifest, config_digest, *(layer["digest"] for layer in descriptors)}
        return {digest.removeprefix("sha256:") for digest in digests}, len(config) + size


def _tar(size, number):
    """A layer with one file of random bytes, made once and kept."""
    path = images.cache() / f"bench-layer-{size}-{number}.tar"
    if not path.exists():
        partial = path.with_suffix(".partial")
        with tarfile.open(partial, "w") as tar:
            content = images.random_file(size + number)
            tar.add(content, f"random-{number}", filter=_plain)
        partial.rename(path)
    return path


def _plain(entry):
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    return entry


def _compare(bench, stack, engine, pull):
    """`pull(base, registry, tag)` gives the seconds that it took and the names of what has arrived."""
    tree = bench.keep(stack, Tree(bench.new_directory("tree")))
    image = Image(tree, 0.01 if bench.is_quick else 1)
    far = bench.keep(stack, Far(bench.new_directory("far"), tree))
    cold, update, cached = ({"layover": [], "direct": []} for _ in range(3))
    shares = []

    def timed(base, registry, tag):
        took, names = pull(base, registry, tag)
        assert names >= image.names[tag], f"{image.names[tag] - names} did not arrive"
        return took

    for _ in range(bench.rounds):
        for tag, samples in (("first", cold), ("second", update)):
            samples["direct"].append(timed(f"127.0.0.1:{far.port}", FAR, tag))
        cached["direct"].append(update["direct"][-1])
        server = LayoverContender(bench.new_directory("layover"), far, threads=2)
        try:
            base = f"127.0.0.1:{server.port}"
            cold["layover"].append(timed(base, REGISTRY, "first"))
            server.settle()
            before = wait_until(lambda: _steady(far), "upstream has logged what it sent")
            update["layover"].append(timed(base, REGISTRY, "second"))
            server.settle()
            shares.append((wait_until(lambda: _steady(far), "upstream has logged what it sent") - before)
                          / image.new_bytes)
            cached["layover"].append(timed(base, REGISTRY, "second"))
        finally:
            server.stop()
            shutil.rmtree(server.server.directory, ignore_errors=True)
        print(".", end="", file=sys.stderr, flush=True)
    title = (f"image of {len(LAYERS)} layers, {image.size / 1e6:.0f} MB, by {engine}, {ROUND_TRIP_MS} ms away,"
             f" {RATE / 1e6:g} MB/s a connection: ")
    return [Line(title + "cold", "s", cold, at_most(0.4), ("direct",)),
            Line(title + "one layer is new", "s", update, at_most(0.4), ("direct",)),
            Line(title + "cached", "s", cached, at_most(0.4), ("direct",)),
            Line(title + "one layer is new: bytes from upstream", "x what is new", {"layover": shares},
                 at_most(1.001, VALUE))]


def _steady(far):
    """What upstream has sent, once that has stopped growing."""
    sent = far.sent()
    time.sleep(0.3)
    return sent if sent and far.sent() == sent else None
