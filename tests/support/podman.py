"""podman and buildah as clients of layover: storage of their own in one directory, and a registries.conf
that makes layover the mirror of a registry by its place in the path (they send no `ns`)."""

import json
from pathlib import Path

from tests.support.machine import unmount_below
from tests.support.processes import run

_REGISTRIES = """unqualified-search-registries = []
[[registry]]
prefix = "{registry}"
location = "{registry}"
[[registry.mirror]]
location = "127.0.0.1:{port}/{registry}"
insecure = true
"""
_POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}'
# Limits that any machine allows: by default podman asks for the highest that it knows of.
_RUN = ["--rm", "--runtime", "runc", "--network", "none", "--ulimit", "nofile=1024:1024",
        "--ulimit", "nproc=1024:1024", "--cgroups", "no-conmon", "--cgroup-parent", "/layover-tests"]


class Podman:
    """`environment` says how the registry itself is reached, if not by layover."""

    def __init__(self, directory, registry, port, environment):
        self.directory = Path(directory)
        registries = self.directory / "registries.conf"
        registries.write_text(_REGISTRIES.format(registry=registry, port=port))
        self._policy = self.directory / "policy.json"
        self._policy.write_text(_POLICY)
        self._storage = ["--root", self.directory / "root", "--runroot", self.directory / "run",
                         "--storage-driver", "vfs"]
        self._environment = {**environment, "CONTAINERS_REGISTRIES_CONF": str(registries),
                             "HOME": str(self.directory), "XDG_RUNTIME_DIR": str(self.directory)}

    def pull(self, image, check=True):
        return self._podman("pull", "--quiet", "--signature-policy", self._policy, image, check=check)

    def image(self, image):
        """What arrived: Id is the digest of its config."""
        [found] = json.loads(self._podman("image", "inspect", image).stdout)
        return found

    def run(self, image):
        """Starts a container without a network, and gives what it printed."""
        return self._podman("run", "--pull", "never", *_RUN, image).stdout

    def forget(self):
        """Removes all images with their layers, so that the next pull starts from nothing."""
        self._podman("rmi", "--all", "--force")
        left = self._podman("images", "--all", "--quiet").stdout
        assert not left, f"podman still has {left}"

    def build_from(self, image, *command):
        """What the first steps of a build print: a working container by buildah, and a command in it."""
        name = self.buildah("from", "--pull", "--quiet", "--signature-policy", self._policy, image).stdout.strip()
        try:
            return self.buildah("run", "--isolation", "chroot", name, "--", *command).stdout
        finally:
            self.buildah("rm", name)

    def buildah(self, *arguments, check=True):
        return run(["buildah", *self._storage, *arguments], check=check, timeout=120, env=self._environment)

    def stop(self):
        unmount_below(self.directory)

    def _podman(self, *arguments, check=True):
        return run(["podman", *self._storage, "--cgroup-manager", "cgroupfs", "--events-backend", "file",
                    "--tmpdir", self.directory / "tmp", *arguments],
                   check=check, timeout=120, env=self._environment)
