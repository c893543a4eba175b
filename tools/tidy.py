"""Runs clang-tidy over src/: `tidy.py ROOT BUILD TALLY [--seconds N]`.

A file that was found clean is not looked at again until it, a header of ours that it includes, its compile
command or .clang-tidy changes. What N seconds do not reach is left for the next run, and said so. Counts
as one check.
"""

import argparse
import concurrent.futures
import hashlib
import json
import os
import re
import subprocess
import sys
import time

CLANG_TIDY = "clang-tidy-19"
INCLUDE = re.compile(rb'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)


class Fingerprints:
    """What a file's verdict depends on, as one hash."""

    def __init__(self, root):
        self._roots = (os.path.join(root, "src"), root)
        self._base = hashlib.sha256(subprocess.check_output([CLANG_TIDY, "--version"]))
        with open(os.path.join(root, ".clang-tidy"), "rb") as settings:
            self._base.update(settings.read())
        self._texts = {}

    def of(self, command):
        digest = self._base.copy()
        digest.update(command["command"].encode())
        for path in sorted(self._closure(command["file"])):
            digest.update(path.encode())
            digest.update(self._text(path))
        return digest.hexdigest()

    def _closure(self, path):
        """The file and all of our headers that it includes, however deep."""
        seen, waiting = set(), [path]
        while waiting:
            path = waiting.pop()
            if path in seen:
                continue
            seen.add(path)
            for name in INCLUDE.findall(self._text(path)):
                candidates = (os.path.join(folder, name.decode()) for folder in self._roots)
                waiting.extend(candidate for candidate in candidates if os.path.isfile(candidate))
        return seen

    def _text(self, path):
        if path not in self._texts:
            with open(path, "rb") as file:
                self._texts[path] = file.read()
        return self._texts[path]


def examine(build, path, deadline):
    """(path, None) when out of time, else (path, what clang-tidy said; empty if clean)."""
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        return (path, None)
    try:
        result = subprocess.run(
            [CLANG_TIDY, "--quiet", "-p", build, path],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            timeout=remaining, text=True, errors="replace",
        )
    except subprocess.TimeoutExpired:
        return (path, None)
    if result.returncode != 0:
        return (path, result.stdout or f"{path}: clang-tidy failed with status {result.returncode}\n")
    return (path, "")


def commands_of(root, build):
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        commands = json.load(file)
    return [command for command in commands if command["file"].startswith(os.path.join(root, "src", ""))]


def remove_stale(folder, marks):
    for name in set(os.listdir(folder)) - {os.path.basename(mark) for mark in marks}:
        os.remove(os.path.join(folder, name))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root")
    parser.add_argument("build")
    parser.add_argument("tally")
    parser.add_argument("--seconds", type=float, default=3600)
    arguments = parser.parse_args()
    deadline = time.monotonic() + arguments.seconds

    clean_marks = os.path.join(arguments.root, "build", "clang-tidy")
    os.makedirs(clean_marks, exist_ok=True)
    fingerprints = Fingerprints(arguments.root)
    commands = commands_of(arguments.root, arguments.build)
    marks = {command["file"]: os.path.join(clean_marks, fingerprints.of(command)) for command in commands}
    remove_stale(clean_marks, marks.values())
    due = [path for path, mark in marks.items() if not os.path.exists(mark)]
    print(f"  {len(marks)} files, {len(due)} of them new or changed")

    faulty, unreached = 0, 0
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        jobs = [pool.submit(examine, arguments.build, path, deadline) for path in due]
        for done, job in enumerate(concurrent.futures.as_completed(jobs), 1):
            path, findings = job.result()
            if findings is None:
                unreached += 1
                continue
            if findings:
                faulty += 1
                print(findings, end="")
            else:
                open(marks[path], "w", encoding="ascii").close()
            print(f"  [{done}/{len(due)}] {os.path.relpath(path, arguments.root)}", flush=True)
    return report(arguments.tally, faulty, unreached)


def report(tally_path, faulty, unreached):
    if unreached:
        print(f"  {unreached} files were not reached in time; the next run goes on from here")
    if faulty:
        print(f"  {faulty} files have findings; to repeat: {CLANG_TIDY} -p build/release FILE")
    outcome = (0, 1, 0) if faulty else (0, 0, 1) if unreached else (1, 0, 0)
    with open(tally_path, "w", encoding="ascii") as tally:
        print(*outcome, file=tally)
    return 1 if faulty else 0


if __name__ == "__main__":
    sys.exit(main())
