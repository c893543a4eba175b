"""Makes the images of the end-to-end tests as OCI layouts on disk, with nothing but busybox and Python,
and pushes them to a registry with skopeo. Everything is reproducible but the random bytes."""

import gzip
import hashlib
import io
import json
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import run

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
LAYER_GZIP = LAYER + "+gzip"
HELM_CONFIG = "application/vnd.cncf.helm.config.v1+json"
HELM_CONTENT = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"


def cache():
    """A directory for what is costly to make, kept from run to run."""
    directory = ROOT / "build" / "test-cache"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


@dataclass(frozen=True)
class PlatformImage:
    digest: str      # of its manifest
    config: str      # digest, which engines use as the image's id
    blobs: set       # digests of config and layers
    diff_ids: list   # digests of the unpacked layers, in order


class Layout:
    """An OCI layout directory with one image in it, under the name `latest`."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.digest = None  # of the top: a manifest or an index
        self._blobs = self.directory / "blobs" / "sha256"
        self._blobs.mkdir(parents=True, exist_ok=True)
        (self.directory / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')

    def add(self, content, media_type, **more):
        """Stores `content` (bytes) and gives its descriptor."""
        digest = hashlib.sha256(content).hexdigest()
        (self._blobs / digest).write_bytes(content)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content), **more}

    def add_file(self, path, media_type):
        """The same for a large file, which is linked, not read into memory."""
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        target = self._blobs / digest
        if not target.exists():
            os.link(path, target)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": path.stat().st_size}

    def add_manifest(self, config, layers, **more):
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers, **more}
        return self.add(json.dumps(manifest, indent=2).encode(), MANIFEST)

    def finish(self, top):
        self.digest = top["digest"]
        top = {**top, "annotations": {"org.opencontainers.image.ref.name": "latest"}}
        (self.directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [top]}))
        return self

    def digests(self):
        """Of everything in it: indexes, manifests, configs and layers."""
        return {f"sha256:{path.name}" for path in self._blobs.iterdir()}

    def blob_digests(self):
        """Of configs and layers alone: what is fetched through /blobs/."""
        return {digest for digest in self.digests() if not self._is_manifest(digest)}

    def largest_blob(self):
        """Its digest: a layer."""
        return max(self.blob_digests(), key=lambda digest: (self._blobs / digest.removeprefix("sha256:")).stat().st_size)

    def of_platform(self, architecture):
        """The one image that an engine on such a machine takes."""
        top = self._json(self.digest)
        digest = next((m["digest"] for m in top["manifests"] if m["platform"]["architecture"] == architecture),
                      None) if "manifests" in top else self.digest
        manifest = self._json(digest)
        config = manifest["config"]["digest"]
        return PlatformImage(digest, config, {config, *(layer["digest"] for layer in manifest["layers"])},
                             self._json(config)["rootfs"]["diff_ids"])

    def _json(self, digest):
        return json.loads((self._blobs / digest.removeprefix("sha256:")).read_bytes())

    def _is_manifest(self, digest):
        path = self._blobs / digest.removeprefix("sha256:")
        return path.stat().st_size < 65536 and b'"schemaVersion"' in path.read_bytes()


def tar_layer(files):
    """A tar of {path: bytes, or the target of a link as str}; with their parents, in a fixed order."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        parents = sorted({str(p) for path in files for p in Path(path).parents if str(p) != "."})
        for parent in parents:
            entry = tarfile.TarInfo(parent)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.mode = 0o755
            if isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
                tar.addfile(entry)
            else:
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def image_config(diff_ids, architecture="amd64", command=("/bin/hello",)):
    return json.dumps({
        "architecture": architecture, "os": "linux",
        "config": {"Cmd": list(command), "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }).encode()


def _busybox_layers(greeting):
    """Four layers that together are a root file system which says `greeting`."""
    busybox = Path("/bin/busybox").read_bytes()
    tools = {f"bin/{name}": "busybox" for name in ("sh", "cat", "echo", "ls", "sha256sum")}
    return [tar_layer({"bin/busybox": busybox}),
            tar_layer(tools),
            tar_layer({"etc/passwd": b"root:x:0:0:root:/:/bin/sh\n", "etc/greeting": greeting.encode() + b"\n"}),
            tar_layer({"bin/hello": b"#!/bin/sh\ncat /etc/greeting\n"})]


def _add_busybox(layout, greeting, architecture):
    layers = _busybox_layers(greeting)
    diff_ids = ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in layers]
    config = layout.add(image_config(diff_ids, architecture), CONFIG)
    return layout.add_manifest(config, [layout.add(gzip.compress(layer, 1, mtime=0), LAYER_GZIP)
                                        for layer in layers])


def runnable_image(directory, greeting):
    """busybox in four gzipped layers; run, it prints `greeting`."""
    layout = Layout(directory)
    return layout.finish(_add_busybox(layout, greeting, "amd64"))


def multi_platform_image(directory, greeting):
    """An index of an amd64 and an arm64 image (the same programs, another greeting)."""
    layout = Layout(directory)
    manifests = []
    for architecture in ("amd64", "arm64"):
        manifest = _add_busybox(layout, f"{greeting} on {architecture}", architecture)
        manifests.append({**manifest, "platform": {"architecture": architecture, "os": "linux"}})
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
    return layout.finish(layout.add(json.dumps(index).encode(), INDEX))


def big_image(directory, size):
    """An image with one layer: a tar with `size` random bytes, made once and kept."""
    tar_path = cache() / f"layer-{size}.tar"
    if not tar_path.exists():
        partial = tar_path.with_suffix(".partial")
        with tarfile.open(partial, "w") as tar:
            entry = tarfile.TarInfo("random")
            entry.size = size
            tar.addfile(entry, _Random(size))
        partial.rename(tar_path)
    layout = Layout(directory)
    layer = layout.add_file(tar_path, LAYER)
    config = layout.add(image_config([layer["digest"]]), CONFIG)
    return layout.finish(layout.add_manifest(config, [layer]))


def helm_chart(directory):
    """An artifact as `helm push` makes it: not an image, its config and layer of other media types."""
    layout = Layout(directory)
    chart = gzip.compress(tar_layer({"app/Chart.yaml": b"apiVersion: v2\nname: app\nversion: 0.1.0\n",
                                     "app/values.yaml": b"replicas: 1\n"}), mtime=0)
    config = layout.add(b'{"name":"app","version":"0.1.0","apiVersion":"v2"}', HELM_CONFIG)
    return layout.finish(layout.add_manifest(config, [layout.add(chart, HELM_CONTENT)],
                                             annotations={"org.opencontainers.image.title": "app"}))


def random_file(size):
    """A file of random bytes, made once and kept."""
    path = cache() / f"random-{size}"
    if not path.exists():
        partial = path.with_suffix(".partial")
        with open(partial, "wb") as file:
            for start in range(0, size, 1 << 20):
                file.write(os.urandom(min(1 << 20, size - start)))
        partial.rename(path)
    return path


class _Random(io.RawIOBase):
    def __init__(self, size):
        self._left = size

    def read(self, size=-1):
        n = self._left if size < 0 else min(size, self._left)
        self._left -= n
        return os.urandom(n)


def push(layout, registry_host, name, credentials, certificate_directory):
    """Pushes everything in the layout, unchanged, to `registry_host`/`name` (repository:tag)."""
    run(["skopeo", "--insecure-policy", "copy", "--all", "--preserve-digests", "--quiet",
         "--dest-creds", ":".join(credentials), "--dest-cert-dir", certificate_directory,
         f"oci:{layout.directory}:latest", f"docker://{registry_host}/{name}"])
