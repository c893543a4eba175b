"""podman and buildah as clients of layover: storage of their own in one directory, and a registries.conf
that makes layover the mirror of a registry by its place in the path (they send no `ns`)."""

import json
from pathlib import Path

from tests.support.engine_settings import SHOWN_ADDRESS, adapted
from tests.support.machine import unmount_below
from tests.support.processes import run

_POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}'
# Nothing outside of the directory; and limits that any machine allows, where podman asks for the highest that
# it knows of.
_CONTAINERS = """[containers]
cgroups = "no-conmon"
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
tmp_dir = "{directory}/tmp"
"""
_PARTIAL = """[storage]
driver = "overlay"
graphroot = "{directory}/root"
runroot = "{directory}/run"
[storage.options]
pull_options = {{enable_partial_images = "true", use_hard_links = "false", ostree_repos = ""}}
"""


class Store:
    """Images and containers of podman and buildah in one directory; `environment` is added to theirs."""

    def __init__(self, directory, environment=None):
        self.directory = Path(directory)
        self.policy = self.directory / "policy.json"
        self.policy.write_text(_POLICY)
        self._storage = ["--root", self.directory / "root", "--runroot", self.directory / "run",
                         "--storage-driver", "vfs"]
        containers = self.directory / "containers.conf"
        containers.write_text(_CONTAINERS.format(directory=self.directory))
        # Without systemd's timers podman checks a container's health when it is told to.
        self._environment = {"HOME": str(self.directory), "XDG_RUNTIME_DIR": str(self.directory),
                             "CONTAINERS_CONF": str(containers), "DISABLE_HC_SYSTEMD": "true",
                             **(environment or {})}

    def podman(self, *arguments, check=True):
        return run(["podman", *self._storage, *arguments], check=check, timeout=120, env=self._environment)

    def buildah(self, *arguments, check=True):
        return run(["buildah", *self._storage, *arguments], check=check, timeout=180, env=self._environment)

    def run(self, image, *arguments, options=("--rm", "--network", "none")):
        """Starts a container, and gives what it printed; detached, it is its id."""
        return self.podman("run", "--pull", "never", "--cgroup-parent", "/layover-tests", *options, image,
                           *arguments).stdout

    def stop(self):
        self.podman("rm", "--all", "--force", "--time", "5", check=False)
        unmount_below(self.directory)


class Podman(Store):
    """Pulls from `registry` by layover's port; `environment` says how the registry itself is reached."""

    def __init__(self, directory, registry, port, environment):
        self._registries = Path(directory) / "registries.conf"
        self._registries.write_text(adapted("/etc/containers/registries.conf",
                                            **{SHOWN_ADDRESS: f"127.0.0.1:{port}", "docker.io": registry}))
        super().__init__(directory, {**environment, "CONTAINERS_REGISTRIES_CONF": str(self._registries)})

    def pull(self, image, check=True):
        return self.podman("pull", "--quiet", "--signature-policy", self.policy, image, check=check)

    def image(self, image):
        """What arrived: Id is the digest of its config."""
        [found] = json.loads(self.podman("image", "inspect", image).stdout)
        return found

    def copy_by_skopeo(self, image, target):
        """Copies to the directory `target`; skopeo takes the same registries.conf, as an option."""
        run(["skopeo", "--policy", self.policy, "--registries-conf", self._registries, "copy", "--quiet",
             f"docker://{image}", f"oci:{target}:latest"], env=self._environment)

    def forget(self):
        """Removes all images with their layers, so that the next pull starts from nothing."""
        self.podman("rmi", "--all", "--force")
        left = self.podman("images", "--all", "--quiet").stdout
        assert not left, f"podman still has {left}"

    def build_from(self, image, *command):
        """What the first steps of a build print: a working container by buildah, and a command in it."""
        name = self.buildah("from", "--pull", "--quiet", "--signature-policy", self.policy, image).stdout.strip()
        try:
            return self.buildah("run", "--isolation", "chroot", name, "--", *command).stdout
        finally:
            self.buildah("rm", name)


class PartialPodman(Podman):
    """With overlay storage and partial pulls: of a layer in zstd:chunked it asks for those chunks alone that it
    does not have, many ranges at once."""

    def __init__(self, directory, registry, port, environment):
        super().__init__(directory, registry, port, environment)
        settings = self.directory / "storage.conf"
        settings.write_text(_PARTIAL.format(directory=self.directory))
        self._storage = []
        self._environment["CONTAINERS_STORAGE_CONF"] = str(settings)

    def files_of(self, image):
        """path -> content of all files of an image."""
        root = Path(self.podman("image", "mount", image).stdout.strip())
        try:
            return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        finally:
            self.podman("image", "unmount", image)
