"""Empty cache directories for one layover after the other. The hundreds of folders under blobs/ are kept
from use to use, since removing them takes seconds on some file systems; every file and all else goes."""

import shutil
import tempfile
from pathlib import Path


class CacheDirectories:
    def __init__(self, parent):
        self._parent = Path(parent)
        self._free = []

    def take(self):
        """One without a file in it, that nobody else uses."""
        return self._free.pop() if self._free else Path(tempfile.mkdtemp(prefix="cache-", dir=self._parent))

    def give_back(self, path):
        """Call once its layover has ended."""
        for entry in list(path.iterdir()):
            if entry.name == "blobs":
                _remove_files(entry)
            elif entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        self._free.append(path)


def _remove_files(directory):
    for entry in directory.rglob("*"):
        if not entry.is_dir():
            entry.unlink()
