"""What the contenders serve: a static registry's tree on the disk, and the nginx that serves it to them."""

import hashlib
import json
import math
import random
import shutil

from tests.bench.nginx import Nginx
from tests.support import images

REGISTRY, REPOSITORY = "bench.test", "bench/app"

STATIC = """log_format sent '$body_bytes_sent';
  server {{
    listen 127.0.0.1:{port} reuseport backlog=4096;
    root {root};
    access_log {log};
    location = /v2/ {{ default_type application/json; return 200 '{{}}'; }}
    location ~ ^/v2/.+/manifests/(sha256:[0-9a-f]+)$ {{
      default_type application/vnd.oci.image.manifest.v1+json;
      add_header Docker-Content-Digest $1;
    }}
    include {directory}/tags.conf;
    location ~ ^/v2/.+/blobs/(sha256:[0-9a-f]+)$ {{
      default_type application/octet-stream;
      add_header Docker-Content-Digest $1;
      {limit}
    }}
  }}"""
TAG = """location ~ ^/v2/.+/manifests/{tag}$ {{
  default_type application/vnd.oci.image.manifest.v1+json;
  add_header Docker-Content-Digest {digest};
}}
"""


def digest_of(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


class Tree:
    """One repository. Paths that it gives are those below /v2/."""

    def __init__(self, root):
        self.root = root
        self.tags = {}  # tag -> digest
        self._repository = root / "v2" / REPOSITORY
        (self._repository / "manifests").mkdir(parents=True)
        (self._repository / "blobs").mkdir()

    def add_blob(self, content):
        digest = digest_of(content)
        (self._repository / "blobs" / digest).write_bytes(content)
        return f"{REPOSITORY}/blobs/{digest}"

    def add_random_blob(self, size):
        """One that is made once and kept from run to run."""
        descriptor = self.add_blob_file(images.random_file(size), images.LAYER)
        return f"{REPOSITORY}/blobs/{descriptor['digest']}"

    def add_sparse_blob(self, size):
        """One of zero bytes, that takes no room on the disk."""
        partial = self._repository / "partial"
        with open(partial, "w+b") as file:
            file.truncate(size)
            digest = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
        partial.rename(self._repository / "blobs" / digest)
        return f"{REPOSITORY}/blobs/{digest}"

    def add_blob_file(self, path, media_type):
        """The same for a file that stays where it is. Gives its descriptor."""
        with open(path, "rb") as file:
            digest = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
        place = self._repository / "blobs" / digest
        if not place.exists():
            place.symlink_to(path)
        return {"mediaType": media_type, "digest": digest, "size": path.stat().st_size}

    def add_image(self, config, layers, tag):
        """A manifest of these descriptors under a tag. Gives its digest and its size."""
        manifest = json.dumps({"schemaVersion": 2, "mediaType": images.MANIFEST, "config": config,
                               "layers": layers}).encode()
        return self._add_manifest(manifest, tag), len(manifest)

    def add_manifest(self, layers=8, tag=None):
        """Of the size that a usual image's has; its layers exist in name only."""
        layer = {"mediaType": images.LAYER_GZIP, "digest": f"sha256:{1:064x}", "size": 1000}
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": images.MANIFEST,
            "config": {"mediaType": images.CONFIG, "digest": f"sha256:{0:064x}", "size": 2},
            "layers": [layer] * layers}).encode()
        return f"{REPOSITORY}/manifests/{self._add_manifest(manifest, tag)}"

    def _add_manifest(self, manifest, tag):
        digest = digest_of(manifest)
        (self._repository / "manifests" / digest).write_bytes(manifest)
        if tag:
            (self._repository / "manifests" / tag).write_bytes(manifest)
            self.tags[tag] = digest
        return digest

    def tag_path(self, tag):
        return f"{REPOSITORY}/manifests/{tag}"

    def digest(self, path):
        """What the content at a path must hash to."""
        last = path.rpartition("/")[2]
        return self.tags.get(last, last)

    def add_small_blobs(self, count, smallest=1 << 10, largest=64 << 10):
        """Random bytes, as many small ones as large: the logarithms of their sizes are uniform."""
        chance = random.Random(count)
        sizes = (round(math.exp(chance.uniform(math.log(smallest), math.log(largest)))) for _ in range(count))
        return [self.add_blob(chance.randbytes(size)) for size in sizes]

    def remove(self):
        shutil.rmtree(self.root, ignore_errors=True)


class Origin:
    """nginx serving a tree as a registry would. `rate`: bytes a second on each connection, 0 without limit.
    `is_counted`: whether sent() is wanted."""

    def __init__(self, directory, tree, rate=0, is_counted=False):
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "tags.conf").write_text("".join(TAG.format(tag=tag, digest=digest)
                                                     for tag, digest in tree.tags.items()))
        self._sent_log = directory / "sent.log"
        self._nginx = Nginx(directory, STATIC, root=tree.root,
                            log=f"{self._sent_log} sent" if is_counted else "off",
                            limit=f"limit_rate {rate};" if rate else "")
        self.port = self._nginx.port
        self.url = f"http://127.0.0.1:{self.port}"

    def sent(self):
        """Bytes of bodies so far; needs `is_counted`."""
        return sum(int(line) for line in self._sent_log.read_text().split())

    def stop(self):
        self._nginx.stop()
