"""The test's side of fault_shim.c: tells which system call of a running layover is to fail, and how, and
counts those that have been made."""

import errno
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

from tests.support.kill_points import build_shim

KINDS = ("write", "sync", "rename", "open", "sendfile", "fallocate", "truncate")   # as in fault_shim.c
CUT_SHORT = -1
_FAILURES = {
    "write": (errno.EIO, errno.ENOSPC, CUT_SHORT), "sync": (errno.EIO, errno.ENOSPC),
    "rename": (errno.EIO, errno.ENOSPC), "open": (errno.EIO, errno.ENOSPC, errno.EMFILE),
    "sendfile": (errno.EIO, CUT_SHORT), "fallocate": (errno.ENOSPC, errno.EIO), "truncate": (errno.EIO,)}
_FIELDS = struct.Struct(f"=4i{len(KINDS)}i")


@dataclass(frozen=True)
class Fault:
    kind: str
    nth: int   # call of that kind, from 1
    how: int   # an errno, or CUT_SHORT

    def __str__(self):
        how = "cut short" if self.how == CUT_SHORT else errno.errorcode[self.how]
        return f"{self.kind} number {self.nth}: {how}"


NO_FAULT = Fault("write", 0, 0)


class FaultControl:
    """One for each layover; give it `environment`."""

    def __init__(self, root, directory, cache_path):
        shim = build_shim(root / "tests" / "support" / "fault_shim.c", root / "build" / "test-cache")
        file = Path(directory) / "faults"
        file.write_bytes(bytes(_FIELDS.size))
        with open(file, "r+b") as opened:
            self._map = mmap.mmap(opened.fileno(), _FIELDS.size)
        self.environment = {"LD_PRELOAD": str(shim), "LAYOVER_FAULT_CONTROL": str(file),
                            "LAYOVER_FAULT_PLACE": str(cache_path)}

    def _read(self):
        return _FIELDS.unpack(self._map[:])

    def arm(self, fault):
        """The calls are counted from here on."""
        self._map[:] = _FIELDS.pack(KINDS.index(fault.kind), fault.nth, fault.how, 0, *[0] * len(KINDS))

    def disarm(self):
        """Ends the fault; gives whether it has happened."""
        fired = self._read()[3]
        self._map[4:8] = struct.pack("=i", 0)
        return fired > 0

    def calls(self):
        """kind -> how many have been made since the last fault was armed."""
        return dict(zip(KINDS, self._read()[4:]))


def choose_fault(chance, calls):
    """A call that is likely to be made again where `calls` were made before."""
    kind = chance.choice([kind for kind in KINDS if calls.get(kind)])
    return Fault(kind, chance.randint(1, calls[kind]), chance.choice(_FAILURES[kind]))
