"""What is broken hundreds of times: `crash_runs.py ROOT RESULTS [RUN...]`.

kills: SIGKILL at random instants under load, each with a restart and a full comparison. failures: one system
call on the cache directory fails or is cut short, while images are pulled or layover starts. starts: with 100,000
objects in the cache, after an orderly end and after SIGKILL, in under a second. docs/reliability.md gets the
results. A run that was cut off goes on where it was (build/crash-runs.json), as long as the sources are
the same; LAYOVER_TEST_SEED repeats one from its beginning, or from step N with LAYOVER_TEST_STEP=N.
"""

import datetime
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
sys.path.insert(0, str(ROOT))

from tests.support.crash_bench import Bench, FailingCalls, Wrong, kill_once, plant_stock, seeded  # noqa: E402
from tests.support.layover import BINARY, Layover  # noqa: E402
from tests.support.registry import Registry, digest_of  # noqa: E402

CONCERNED = ["src", "cmake"]   # what a result depends on
IMAGES = 24
OBJECTS = 100_000
LOOKED_AT = 200   # of them, after each start
STEPS = {"starts": 20,
         "kills": int(os.environ.get("LAYOVER_KILLS", "500")),
         "failures": int(os.environ.get("LAYOVER_FAILURES", "200"))}


def git(*arguments):
    return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True,
                          check=False).stdout.strip()


class Progress:
    """How far each run has come with these sources."""

    def __init__(self):
        self.commit = git("log", "-1", "--abbrev=12", "--format=%h", "--", *CONCERNED)
        self.is_clean = bool(self.commit) and not git("status", "--porcelain", "--", *CONCERNED)
        self._file = ROOT / "build" / "crash-runs.json"
        try:
            state = json.loads(self._file.read_text())
        except (OSError, ValueError):
            state = {}
        is_same = self.is_clean and state.get("commit") == self.commit and "LAYOVER_TEST_SEED" not in os.environ
        self._runs = state["runs"] if is_same else {}

    def of(self, name):
        seed = int(os.environ.get("LAYOVER_TEST_SEED", random.SystemRandom().randrange(1 << 32)))
        return self._runs.setdefault(name, {"seed": seed, "done": int(os.environ.get("LAYOVER_TEST_STEP", "0")),
                                            "compared": 0, "slowest_start": 0.0, "seconds": 0.0, "wrong": []})

    def save(self):
        partial = self._file.with_suffix(".new")
        partial.write_text(json.dumps({"commit": self.commit, "runs": self._runs}))
        partial.replace(self._file)


def run(name, state, directory, registry, progress):
    """The steps that are left. What is wrong is kept, with the directory, and the run goes on."""
    stock = plant_stock(registry, IMAGES, seeded(state["seed"], f"{name} stock"))
    bench = Bench(directory, registry.port, stock, seeded(state["seed"], 0))
    failing = FailingCalls(ROOT, bench)
    try:
        while state["done"] < STEPS[name]:
            bench.chance = seeded(state["seed"], f"{name} {state['done']}")
            began, compared = time.monotonic(), bench.compared
            what = "a kill"
            try:
                if name == "kills":
                    kill_once(bench)
                else:
                    what = failing.fail_once()
            except (Wrong, OSError, RuntimeError, TimeoutError, AssertionError) as error:
                state["wrong"].append(f"step {state['done']}: {error}")
                print(f"  WRONG   {name}, step {state['done']}, seed {state['seed']}: {error}\n"
                      f"          see {bench.layover.directory}", flush=True)
                bench.end()
                bench.layover = None   # the next one begins anew
            state["done"] += 1
            state["compared"] += bench.compared - compared
            state["slowest_start"] = max(state["slowest_start"], bench.slowest_start)
            state["seconds"] += time.monotonic() - began
            progress.save()
            if state["done"] % 20 == 0 or state["done"] == STEPS[name]:
                print(f"  {name}: {state['done']} of {STEPS[name]}, {state['compared']} contents compared, "
                      f"{len(state['wrong'])} wrong, the last: {what}", flush=True)
    finally:
        if bench.layover is not None:
            bench.end()


class ManyObjects:
    """A cache directory with very many blobs in it, and starts of a layover with that."""

    LIMIT = 1.0   # seconds until /readyz says 200

    def __init__(self, directory):
        directory.mkdir(parents=True)
        maker = next((path for path in (BINARY.parent / "tests" / "make_cache", BINARY.parent / "make_cache")
                      if path.exists()), None)
        if maker is None:
            raise RuntimeError(f"{BINARY.parent}/tests/make_cache is not there: build with -DLAYOVER_TESTS=ON")
        self.layover = Layover(directory, {"registry-a.test": {"url": "http://127.0.0.1:1"}},
                               {"log": {"level": "info", "requests": False}, "cache": {"min_free": "1MiB"}})
        subprocess.run([maker, self.layover.cache_path, str(OBJECTS)], check=True)

    def start_once(self, chance, is_orderly):
        """Gives the seconds until it was ready."""
        if self.layover.is_running:
            if is_orderly:
                self.layover.stop()
            else:
                self.layover.kill()
        process = self.layover.launch()
        began = time.monotonic()
        process.wait_until(self.layover.is_ready, "layover is ready", 60)
        took = time.monotonic() - began
        for number in chance.sample(range(OBJECTS), LOOKED_AT):
            content = b"object %d\n" % number
            answer = self.layover.get("registry-a.test", f"public/many/blobs/{digest_of(content)}")
            if (answer.status, answer.body, answer.cache) != (200, content, "HIT"):
                raise Wrong(f"object {number} is answered {answer.status} {answer.cache}")
        if took > self.LIMIT:
            raise Wrong(f"ready after {took:.2f} s")
        return took


def run_starts(state, directory, progress):
    many = ManyObjects(directory)
    try:
        while state["done"] < STEPS["starts"]:
            try:
                took = many.start_once(seeded(state["seed"], f"starts {state['done']}"), state["done"] % 2 == 0)
                state["slowest_start"] = max(state["slowest_start"], took)
            except (Wrong, OSError, RuntimeError, TimeoutError, AssertionError) as error:
                state["wrong"].append(f"step {state['done']}: {error}")
                print(f"  WRONG   starts, step {state['done']}: {error}", flush=True)
            state["compared"] += LOOKED_AT
            state["done"] += 1
            progress.save()
        print(f"  starts: {state['done']} with {OBJECTS:,} objects, the slowest {state['slowest_start']:.2f} s",
              flush=True)
    finally:
        many.layover.kill()


def record(name, state, progress):
    """The run's row in the last table but those of others: that under "Broken on purpose"."""
    page = ROOT / "docs" / "reliability.md"
    lines = page.read_text().splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith("| run | commit |")) + 2
    end = next(i for i in range(begin, len(lines) + 1) if i == len(lines) or not lines[i].startswith("|"))
    rows = {line.strip("| ").split(" | ")[0]: line for line in lines[begin:end]}
    wrong = str(len(state["wrong"])) if state["wrong"] else "none"
    rows[name] = (f"| {name} | {progress.commit} | {datetime.date.today().isoformat()} | {state['done']} | "
                  f"{state['compared']:,} | {wrong} | {state['slowest_start']:.2f} s |")
    lines[begin:end] = [rows[key] for key in sorted(rows)]
    page.write_text("\n".join(lines) + "\n")


def main():
    results = Path(sys.argv[2] if len(sys.argv) > 2 else ROOT / "build" / "test-results")
    results.mkdir(parents=True, exist_ok=True)
    progress = Progress()
    if not progress.is_clean:
        print(f"  results are not recorded: {', '.join(CONCERNED)} have changes that are not committed")
    passed = []
    names = sys.argv[3:] or list(STEPS)
    directory = Path(tempfile.mkdtemp(prefix="layover-crash-"))
    print(f"  LAYOVER_BINARY={BINARY}, in {directory}")
    for name in names:
        state = progress.of(name)
        print(f"  {name}: LAYOVER_TEST_SEED={state['seed']}, from step {state['done']}", flush=True)
        if state["done"] < STEPS[name] and name == "starts":
            run_starts(state, directory / name, progress)
        elif state["done"] < STEPS[name]:
            registry = Registry(directory / f"registry-{name}", directory / f"storage-{name}")
            try:
                run(name, state, directory / name, registry, progress)
            finally:
                registry.stop()
        if progress.is_clean and state["done"] == STEPS[name]:
            record(name, state, progress)
        passed.append(not state["wrong"])
    if all(passed):
        subprocess.run(["rm", "-rf", "--one-file-system", str(directory)], check=False)
    (results / "crash-runs.tally").write_text(f"{passed.count(True)} {passed.count(False)} 0\n")
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
