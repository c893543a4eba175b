"""Where to kill layover: its lasting steps as the preloaded kill_shim.c lists them, the gaps between
them, and a seeded choice of kills that leaves no gap out."""

import random
from collections import Counter
from dataclasses import dataclass

from tests.support.processes import run

AREAS = ("fills", "blobs", "small", "index")


def build_shim(source, directory):
    """Compiles a file to preload, where that is not done yet, and gives the library's path."""
    library = directory / f"{source.stem}.so"
    if not library.exists() or library.stat().st_mtime < source.stat().st_mtime:
        directory.mkdir(parents=True, exist_ok=True)
        run(["clang-19", "-O1", "-fPIC", "-shared", "-Wall", "-Wextra", "-o", library, source])
    return library


@dataclass(frozen=True)
class Step:
    kind: str   # write, sync, rename, remove
    area: str   # the part of the cache directory; "" is the directory itself

    def __str__(self):
        return f"{self.kind} in {self.area or 'the cache directory'}"


@dataclass(frozen=True)
class KillPoint:
    step: Step
    nth: int
    when: str    # before, half, after
    gap: str     # what this kill falls between, for people

    def environment(self, cache_path):
        place = f"{cache_path}/{self.step.area}" if self.step.area else str(cache_path)
        # The shim's fields are short: the end of the path is enough to tell the areas apart.
        return {"LAYOVER_KILL_AT": f"{self.step.kind}:{place[-60:]}:{self.nth}:{self.when}"}

    def __str__(self):
        return f"{self.when} {self.step} number {self.nth} ({self.gap})"


def read_steps(trace, cache_path):
    """The steps under `cache_path` in a trace file, in order."""
    steps = []
    for line in trace.read_text().splitlines():
        kind, _, path = line.partition(" ")
        if not path.startswith(f"{cache_path}/") and path != str(cache_path):
            continue
        below = path.removeprefix(str(cache_path)).lstrip("/").split("/")[0]
        steps.append(Step(kind, below if below in AREAS else ""))
    return steps


def choose(steps, seed, at_least):
    """One kill in every gap between two unlike steps, then random ones until there are `at_least`."""
    points, seen, counts = [], set(), Counter()
    everything = []
    for previous, step in zip([None, *steps], steps):
        # The shim counts by path prefix: what is in an area is also in the cache directory.
        counts[step] += 1
        nth = counts[step] if step.area else sum(n for s, n in counts.items() if s.kind == step.kind)
        gap = f"after {previous}, before {step}" if previous else f"before the first {step}"
        everything.append(KillPoint(step, nth, "before", gap))
        if (previous, step) not in seen:
            seen.add((previous, step))
            points.append(everything[-1])
    chance = random.Random(seed)
    while len(points) < at_least:
        point = chance.choice(everything)
        when = chance.choice(["before", "half", "after"] if point.step.kind == "write" else ["before", "after"])
        points.append(KillPoint(point.step, point.nth, when, "at random"))
    chance.shuffle(points)
    return points
