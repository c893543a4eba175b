"""dockerd as a client of layover: a daemon of its own, with data, socket and containerd in one directory,
no bridge and no firewall rules, whose mirror of Docker Hub is layover."""

import json
import os
from pathlib import Path

from tests.support.engine_settings import SHOWN_ADDRESS, adapted
from tests.support.machine import SharedDirectories, unmount_below
from tests.support.processes import Process, run

_PATH = f"/usr/sbin:/usr/bin:/sbin:/bin:{os.environ['PATH']}"


class Dockerd:
    """`port` is layover's; `environment` says how Docker Hub itself is reached."""

    def __init__(self, directory, port, environment):
        self.directory = Path(directory)
        self._machine = SharedDirectories("/run/docker/plugins", "/run/docker", *SharedDirectories.SHIM)
        self._socket = f"unix://{self.directory}/docker.sock"
        shown = json.loads(adapted("/etc/docker/daemon.json", **{SHOWN_ADDRESS: f"127.0.0.1:{port}"}))
        # What keeps this daemon apart from the machine's.
        settings = {**shown, "data-root": f"{self.directory}/data",
                    "exec-root": f"{self.directory}/exec", "pidfile": f"{self.directory}/docker.pid",
                    "hosts": [self._socket], "storage-driver": "vfs", "cgroup-parent": "layover-tests",
                    "iptables": False, "ip6tables": False, "bridge": "none",
                    "deprecated-key-path": f"{self.directory}/key.json"}
        config = self.directory / "daemon.json"
        config.write_text(json.dumps(settings))
        self._process = Process(["dockerd", "--config-file", config], self.directory / "dockerd.log",
                                env={**environment, "PATH": _PATH})
        self._process.wait_until(lambda: self._docker("version", check=False).returncode == 0,
                                 "dockerd is ready", 30)

    def pull(self, image, check=True):
        """Pulls from Docker Hub, by layover; the result of the command."""
        return self._docker("pull", "--quiet", image, check=check, timeout=120)

    def image(self, image):
        """What arrived: Id is the digest of its config, RepoDigests has that of its manifest."""
        [found] = json.loads(self._docker("image", "inspect", image).stdout)
        return found

    def run(self, image):
        """Starts a container without a network, and gives what it printed."""
        return self._docker("run", "--rm", "--network", "none", image, timeout=60).stdout

    def forget(self, image):
        """Removes the image with its layers, so that the next pull starts from nothing."""
        self._docker("image", "rm", image)
        left = self._docker("image", "ls", "--all", "--quiet").stdout
        assert not left, f"dockerd still has {left}"

    def output(self):
        return self._process.output()

    def stop(self):
        self._process.stop(20)
        unmount_below(self.directory)
        self._machine.remove()

    def _docker(self, *arguments, check=True, timeout=30):
        return run(["docker", "--host", self._socket, *arguments], check=check, timeout=timeout,
                   env={"DOCKER_CONFIG": str(self.directory), "PATH": _PATH})
