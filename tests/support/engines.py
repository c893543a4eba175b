"""The container engines as clients of layover: skopeo as a program, and containerd with a configuration,
root, state and socket of its own, pulling by a hosts.toml and running containers by runc."""

import hashlib
import json
import os
import shutil
from pathlib import Path

from tests.support.machine import SharedDirectories, unmount_below
from tests.support.processes import Process, run


class Skopeo:
    def __init__(self, directory):
        self._directory = Path(directory)
        self._directory.mkdir(parents=True, exist_ok=True)
        self._number = 0

    def copy(self, source, everything=True):
        """Copies `source` (host:port/name:tag) to a fresh directory and gives the digests of all files
        there, each computed from its bytes; a file that is not what its name says fails."""
        self._number += 1
        target = self._directory / f"copy-{self._number}"
        run(["skopeo", "--insecure-policy", "copy", "--quiet", "--preserve-digests", "--src-tls-verify=false",
             *(["--all"] if everything else []), f"docker://{source}", f"oci:{target}:latest"], timeout=180)
        found = _verified_digests(target / "blobs" / "sha256")
        top = json.loads((target / "index.json").read_text())["manifests"][0]["digest"]
        shutil.rmtree(target)
        return Copied(top, found)

    def inspect(self, source):
        """What `skopeo inspect` tells of an image; for that it lists the repository's tags."""
        return json.loads(run(["skopeo", "--insecure-policy", "inspect", "--tls-verify=false",
                               f"docker://{source}"]).stdout)


class Copied:
    def __init__(self, top, digests):
        self.top, self.digests = top, digests


def _verified_digests(directory):
    digests = set()
    for path in directory.iterdir():
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        assert digest == path.name, f"{path.name} has the digest {digest}"
        digests.add(f"sha256:{digest}")
    return digests


_CONFIG = """version = 2
root = "{directory}/root"
state = "{directory}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
  address = "{directory}/containerd.sock"
[ttrpc]
  address = "{directory}/containerd.sock.ttrpc"
"""
_HOSTS = """server = "https://unreachable.test:1"
[host."http://127.0.0.1:{port}"]
  capabilities = ["pull", "resolve"]
"""


class Containerd:
    """Each image is pulled for one registry host, whose only mirror is layover: when layover fails, so
    does the pull, since the host itself does not exist."""

    NAMESPACE = "layover-tests"

    def __init__(self, directory):
        self._machine = SharedDirectories(f"/run/containerd/runc/{self.NAMESPACE}", *SharedDirectories.SHIM)
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self._hosts = self.directory / "hosts"
        self._socket = self.directory / "containerd.sock"
        config = self.directory / "config.toml"
        config.write_text(_CONFIG.format(directory=self.directory))
        self._process = Process(["containerd", "--config", config], self.directory / "containerd.log")
        self._process.wait_until(lambda: self._ctr("version", check=False).returncode == 0, "containerd is ready", 20)

    def mirror(self, registry, port):
        """Makes layover's port the mirror of a registry host such as registry.test:5000."""
        # containerd looks for "host_port_" before "host".
        name = registry.replace(":", "_") + ("_" if ":" in registry else "")
        directory = self._hosts / name
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "hosts.toml").write_text(_HOSTS.format(port=port))

    def pull(self, image, all_platforms=False):
        """Pulls and unpacks, and gives the digest that the name resolved to."""
        self._ctr("images", "pull", "--hosts-dir", self._hosts,
                  *(["--all-platforms"] if all_platforms else []), image, timeout=180)
        for line in self._ctr("images", "ls").stdout.splitlines():
            if line.split()[0] == image:
                return line.split()[2]
        raise AssertionError(f"{image} is not there after its pull")

    def fetch(self, image):
        """Fetches without unpacking: for artifacts that are no images."""
        self._ctr("content", "fetch", "--hosts-dir", self._hosts, image)

    def content_digests(self):
        return set(self._ctr("content", "ls", "-q").stdout.split())

    def run(self, image, name="test"):
        """Starts a container by runc from what was pulled, and gives what it printed."""
        output = self.directory / f"output-{name}"
        output.unlink(missing_ok=True)
        # By way of a file, which the shim writes: on a busy machine ctr may give up its pipe too early.
        self._ctr("run", "--rm", "--log-uri", f"file://{output}", image, name, timeout=60)
        return output.read_text()

    def forget(self):
        """Removes all images and their content, so that the next pull starts from nothing."""
        images = self._ctr("images", "ls", "-q").stdout.split()
        if images:
            self._ctr("images", "rm", "--sync", *images)
        left = self.content_digests()
        assert not left, f"containerd still has {left}"

    def stop(self):
        self._process.stop()
        unmount_below(self.directory)
        self._machine.remove()

    def _ctr(self, *arguments, check=True, timeout=60):
        return run(["ctr", "--address", self._socket, "--namespace", self.NAMESPACE, *arguments],
                   check=check, timeout=timeout, env={"PATH": f"/usr/sbin:/sbin:{os.environ['PATH']}"})
