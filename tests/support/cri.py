"""containerd's CRI plugin as the kubelet uses it, in one directory of its own. Debian 12 has no crictl, so
curl makes the calls of the CRI's ImageService: gRPC is HTTP/2, and the messages have one field each."""

import os
import struct
import subprocess
from pathlib import Path

from tests.support.engine_settings import SHOWN_ADDRESS, adapted
from tests.support.machine import SharedDirectories, unmount_below
from tests.support.processes import Process, run

# What keeps this containerd apart from the machine's.
_CONFIG = """[grpc]
  address = "{directory}/containerd.sock"
[ttrpc]
  address = "{directory}/containerd.sock.ttrpc"
[plugins."io.containerd.internal.v1.opt"]
  path = "{directory}/opt"
"""


class CriError(Exception):
    pass


class Cri:
    """`environment` says how a registry itself is reached, if not by layover."""

    NAMESPACE = "k8s.io"

    def __init__(self, directory, environment):
        self.directory = Path(directory)
        self._machine = SharedDirectories(f"/run/containerd/runc/{self.NAMESPACE}", *SharedDirectories.SHIM)
        self._socket = self.directory / "containerd.sock"
        config = self.directory / "config.toml"
        shown = adapted("/etc/containerd/config.toml", **{"/etc/containerd/certs.d": f"{self.directory}/certs.d"})
        config.write_text(shown + _CONFIG.format(directory=self.directory))
        self._path = {"PATH": f"/usr/sbin:/sbin:{os.environ['PATH']}"}
        self._process = Process(["containerd", "--config", config, "--root", self.directory / "root",
                                 "--state", self.directory / "state"], self.directory / "containerd.log",
                                env={**environment, **self._path})
        self._process.wait_until(self._is_ready, "CRI answers", 20)

    def mirror(self, registry, port):
        directory = self.directory / "certs.d" / registry
        directory.mkdir(parents=True)
        (directory / "hosts.toml").write_text(adapted(
            "/etc/containerd/certs.d/docker.io/hosts.toml",
            **{SHOWN_ADDRESS: f"127.0.0.1:{port}", "registry-1.docker.io": registry}))

    def pull(self, image):
        """Pulls and unpacks, and gives the image's id, which is the digest of its config."""
        return _first_field(self._call("PullImage", _field(_field(image.encode())))).decode()

    def content_digests(self):
        return set(self._ctr("content", "ls", "-q").stdout.split())

    def run(self, image):
        """Starts a container by runc from what was pulled, and gives what it printed."""
        output = self.directory / "output"
        # By way of a file, which the shim writes: on a busy machine ctr may give up its pipe too early.
        self._ctr("run", "--rm", "--log-uri", f"file://{output}", image, "test")
        return output.read_text()

    def forget(self, image):
        self._call("RemoveImage", _field(_field(image.encode())))
        left = self.content_digests()
        assert not left, f"containerd still has {left}"

    def stop(self):
        self._process.stop()
        unmount_below(self.directory)
        self._machine.remove()

    def _is_ready(self):
        try:
            self._call("ListImages")
        except (CriError, subprocess.CalledProcessError):
            return False
        return True

    def _call(self, method, message=b""):
        """The answer to one gRPC call: frames of a flag, a length and a message, the status in trailers."""
        headers = self.directory / "headers"
        body = subprocess.run(
            ["curl", "--silent", "--unix-socket", self._socket, "--http2-prior-knowledge", "--max-time", "60",
             "--header", "Content-Type: application/grpc", "--header", "TE: trailers", "--dump-header", headers,
             "--data-binary", "@-", f"http://localhost/runtime.v1.ImageService/{method}"],
            input=struct.pack(">BI", 0, len(message)) + message, capture_output=True, check=True).stdout
        trailers = dict(line.split(": ", 1) for line in headers.read_text().splitlines() if ": " in line)
        if trailers.get("grpc-status") != "0":
            raise CriError(f"{method}: {trailers}")
        return body[5:]

    def _ctr(self, *arguments):
        return run(["ctr", "--address", self._socket, "--namespace", self.NAMESPACE, *arguments], timeout=60,
                   env=self._path)


def _field(value):
    """Protobuf: field 1, of bytes; both messages that are needed have no other."""
    assert len(value) < 128, "longer ones need a second byte of length"
    return b"\x0a" + bytes([len(value)]) + value


def _first_field(message):
    assert message[0] == 0x0a
    return message[2:2 + message[1]]
