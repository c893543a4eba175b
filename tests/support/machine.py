"""What engines leave on the machine outside of their own directories, and how a test takes it away."""

import os
import shutil
import tempfile
from pathlib import Path

from tests.support.processes import run


class SharedDirectories:
    """Directories that an engine makes whatever its configuration says; remove() takes away those that
    were not there before, unless another engine has put something in."""

    # containerd's shim: the places of its sockets and of the runtime's state.
    SHIM = ("/run/containerd/runc", "/run/containerd/fifo", "/run/containerd/s", "/run/containerd")

    def __init__(self, *paths):
        self._new = [path for path in map(Path, paths) if not path.exists()]

    def remove(self):
        for path in self._new:
            try:
                path.rmdir()
            except OSError:
                pass


def unmount_below(directory):
    """Takes down what an engine that was ended has left mounted in its directory."""
    for line in reversed(Path("/proc/mounts").read_text().splitlines()):
        place = line.split()[1]
        if place.startswith(f"{directory}/"):
            run(["umount", "-l", place])


def large_directory(prefix, room):
    """A new directory for thousands of files and `room` bytes: in memory where that is much larger and
    programs may run from there, since removing them from a disk can take half a minute."""
    memory = "/dev/shm"
    is_fit = (os.path.isdir(memory) and shutil.disk_usage(memory).free > 4 * room
              and not os.statvfs(memory).f_flag & os.ST_NOEXEC)
    return Path(tempfile.mkdtemp(prefix=prefix, dir=memory if is_fit else None))
