"""Runs the fuzz targets of the asan build: `fuzz.py ROOT RESULTS short|long`.

short: each for some seconds, from its seeds. long: each for LAYOVER_FUZZ_MINUTES (30) of CPU time, from its
seeds and what earlier runs found worth keeping (build/fuzz-corpora); docs/fuzzing.md gets its result, and a
target that has one for the sources as they are is not run again. Each target counts as one test.
"""

import concurrent.futures
import datetime
import glob
import itertools
import json
import os
import random
import re
import subprocess
import threading
import sys

import run_tests

SHORT_SECONDS = 2
ROUND_SECONDS = 300  # A long run goes in rounds, so that little is lost when it is cut off.
# For one input, in seconds by the clock, which goes on where others have the processor; for the process.
LIMITS = ["-timeout=60", "-rss_limit_mb=2048"]
FUZZED = ["src", "cmake", "tests/fuzz"]  # What a result depends on.
INTERRUPTED = 72  # libFuzzer's exit status after SIGINT.


class Target:
    """One fuzz target, and what its runs have used and found so far."""

    def __init__(self, name, command, results, corpus):
        self.name = name.removeprefix("fuzz_")
        self.binary, self.seeds = command[0], command[-1]
        self.corpus = corpus
        self.artifacts = os.path.join(results, f"{self.name}-")
        self.log = os.path.join(results, f"{self.name}.log")
        self.status = 0
        self.executions = 0
        self.cpu_seconds = 0.0

    def run(self, seed, seconds):
        """One run; the status of the last one stays. New inputs go to the corpus, never to the seeds."""
        os.makedirs(self.corpus, exist_ok=True)
        command = [self.binary, f"-seed={seed}", f"-max_total_time={seconds}", *LIMITS, "-print_final_stats=1",
                   f"-artifact_prefix={self.artifacts}", self.corpus, self.seeds]
        with open(self.log, "wb") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env=run_tests.test_environment(),
            )
            _, status, usage = os.wait4(process.pid, 0)
        self.status = process.returncode = os.waitstatus_to_exitcode(status)
        self.cpu_seconds += usage.ru_utime + usage.ru_stime
        with open(self.log, encoding="utf-8", errors="replace") as log:
            found = re.search(r"stat::number_of_executed_units: *(\d+)", log.read())
        self.executions += int(found.group(1)) if found else 0
        if self.status != 0 and self._has_only_waited():
            self.status = 0

    def _has_only_waited(self):
        """Whether all that was found are inputs that took too long, and do not do so again: by the clock, a process
        that is stopped or starved takes long for anything."""
        found = self.findings()
        for path in found:
            kind = os.path.basename(path).removeprefix(f"{self.name}-").partition("-")[0]
            if kind not in ("timeout", "slow") or subprocess.run(
                [self.binary, *LIMITS, path], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, env=run_tests.test_environment(), check=False,
            ).returncode != 0:
                return False
        for path in found:
            os.remove(path)
        return bool(found)

    def findings(self):
        return sorted(glob.glob(glob.escape(self.artifacts) + "*-*"))

    def report(self):
        is_ok = self.status == 0
        print(f"  {'ok' if is_ok else 'FAILED':<7} {self.name:<18} {self.executions:9} inputs"
              f"   {self.cpu_seconds:.1f} s of CPU", flush=True)
        if is_ok:
            return
        run_tests.print_log(self.log)
        for path in self.findings():
            print(f"    to repeat: {os.path.relpath(self.binary)} {os.path.relpath(path)}", flush=True)


def targets_of(root, results, corpora):
    build = os.path.join(root, "build", "asan")
    return [
        Target(name, command, results, os.path.join(corpora, name.removeprefix("fuzz_")))
        for name, command in run_tests.registered_tests(build)
        if name.startswith("fuzz_")
    ]


def random_seed():
    return random.SystemRandom().randrange(1, 1 << 32)


def run_short(targets):
    # libFuzzer takes 0 for none.
    seed = int(os.environ.get("LAYOVER_TEST_SEED", random_seed())) % (1 << 32) or 1
    print(f"  LAYOVER_TEST_SEED={seed}", flush=True)

    def run(target):
        target.run(seed, SHORT_SECONDS)
        return target

    return [target.status == 0 for target in in_parallel(run, targets)]


def in_parallel(run, targets):
    """Runs the targets, one for each processor at a time, and reports each at its end."""
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for job in concurrent.futures.as_completed([pool.submit(run, target) for target in targets]):
            job.result().report()
            yield job.result()


class Record:
    """The table of results in docs/fuzzing.md."""

    def __init__(self, root):
        self.path = os.path.join(root, "docs", "fuzzing.md")
        self.root = root
        self.commit = self._git("log", "-1", "--abbrev=12", "--format=%h", "--", *FUZZED)
        self.is_clean = bool(self.commit) and not self._git("status", "--porcelain", "--", *FUZZED)

    def _git(self, *arguments):
        return subprocess.run(
            ["git", "-C", self.root, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ).stdout.strip()

    def has(self, target):
        """Whether the target has run on these sources, and found nothing."""
        row = self._rows().get(target.name, [])
        return self.is_clean and row[1:2] == [self.commit] and row[-1] == "none"

    def knows(self, target):
        return target.name in self._rows()

    def add(self, target):
        if not self.is_clean:
            return
        lines, begin, end = self._table()
        rows = self._rows()
        rows[target.name] = [
            target.name, self.commit, datetime.date.today().isoformat(), f"{target.cpu_seconds / 60:.0f}",
            f"{target.executions:,}", str(len(target.findings())) if target.status else "none",
        ]
        lines[begin:end] = [f"| {' | '.join(rows[name])} |" for name in sorted(rows)]
        with open(self.path, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")

    def _table(self):
        """The page's lines, and where the rows of its last table begin and end."""
        with open(self.path, encoding="utf-8") as file:
            lines = file.read().splitlines()
        begin = max(number for number, line in enumerate(lines) if line.startswith("| ---")) + 1
        rows = itertools.takewhile(lambda line: line.startswith("|"), lines[begin:])
        return lines, begin, begin + len(list(rows))

    def _rows(self):
        lines, begin, end = self._table()
        rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines[begin:end]]
        return {row[0]: row for row in rows}


class Progress:
    """What targets have used and tried so far on the same sources, so that a run that was cut off goes on."""

    def __init__(self, path, commit):
        self._path, self._commit = path, commit
        try:
            with open(path, encoding="utf-8") as file:
                state = json.load(file)
        except (OSError, ValueError):
            state = {}
        self._targets = state["targets"] if state.get("commit") == commit else {}
        self._lock = threading.Lock()

    def resume(self, target):
        target.cpu_seconds, target.executions = self._targets.get(target.name, (0.0, 0))

    def save(self, target):
        partial = f"{self._path}.new"
        with self._lock:
            self._targets[target.name] = (target.cpu_seconds, target.executions)
            with open(partial, "w", encoding="utf-8") as file:
                json.dump({"commit": self._commit, "targets": self._targets}, file)
            os.replace(partial, self._path)


def run_long(targets, record, progress):
    minutes = float(os.environ.get("LAYOVER_FUZZ_MINUTES", "30"))
    print(f"  {minutes:g} minutes of CPU time for each target")
    if not record.is_clean:
        print(f"  results are not recorded: {', '.join(FUZZED)} have changes that are not committed")
    # Those first that never had their time.
    due = sorted((target for target in targets if not record.has(target)), key=record.knows)
    for target in targets:
        if target not in due:
            print(f"  ok      {target.name:<18} recorded for {record.commit} in docs/fuzzing.md")

    def run(target):
        if record.is_clean:
            progress.resume(target)
        while target.status == 0 and (left := minutes * 60 - target.cpu_seconds) > 0:
            target.run(random_seed(), max(1, min(ROUND_SECONDS, round(left))))
            if target.status == 0:
                progress.save(target)
        return target

    passed = [True] * (len(targets) - len(due))
    for target in in_parallel(run, due):
        passed.append(target.status == 0)
        if target.status != INTERRUPTED:
            record.add(target)
    return passed


def main():
    root, results, length = sys.argv[1], os.path.join(sys.argv[2], "fuzz"), sys.argv[3]
    os.makedirs(results, exist_ok=True)
    is_long = length == "long"
    corpora = os.path.join(root, "build", "fuzz-corpora") if is_long else os.path.join(results, "corpora")
    targets = targets_of(root, results, corpora)
    if is_long:
        record = Record(root)
        passed = run_long(targets, record, Progress(os.path.join(root, "build", "fuzz-runs.json"), record.commit))
    else:
        passed = run_short(targets)
    if not targets:
        print("  build/asan has no fuzz targets; to get them: cmake --preset asan -DLAYOVER_FUZZ=ON")
        passed = [False]
    with open(f"{results}.tally", "w", encoding="ascii") as tally:
        print(passed.count(True), passed.count(False), 0, file=tally)
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
