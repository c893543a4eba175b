"""The small programs in programs/, each one file of C, compiled when first needed."""

from tests.support.images import ROOT
from tests.support.processes import run

SOURCES = ROOT / "tests" / "bench" / "programs"


def program(name):
    """The path of its binary, up to date."""
    source, binary = SOURCES / f"{name}.c", ROOT / "build" / "bench-programs" / name
    if not binary.exists() or binary.stat().st_mtime < source.stat().st_mtime:
        binary.parent.mkdir(parents=True, exist_ok=True)
        run(["clang-19", "-std=gnu17", "-O2", "-Wall", "-Wextra", "-Werror", "-o", binary, source])
    return binary
