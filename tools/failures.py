"""Lists what failed, at the end of a long ./test: `failures.py RESULTS` prints a line for each failed test.

The names come from the reports that the stages left, and from the notes beside them on binaries that ended as
they should not, with what sanitizers found; a stage that failed without any has a line of its own.
"""

import glob
import os
import re
import sys
import xml.etree.ElementTree as ElementTree

import junit
import run_tests

SANITIZER_SUMMARY = re.compile(r"^SUMMARY: (\w+Sanitizer: .*)$", re.MULTILINE)


def failed_stages(results):
    """The names of the tallies that count a failure."""
    for path in sorted(glob.glob(os.path.join(glob.escape(results), "*.tally"))):
        with open(path, encoding="ascii") as tally:
            counts = tally.read().split()
        if len(counts) != 3 or int(counts[1]):
            yield os.path.basename(path).removesuffix(".tally")


def failed_tests(report):
    """What failed in a report by Catch2, pytest or ctest; for a report that breaks off, what it was about to tell."""
    cases, is_complete = run_tests.read_cases(report)
    failed = [case.get("name") for case, outcome in cases if outcome == "failed"]
    if is_complete:
        failed += [f"{where}: {name}" for where, name in sorted(junit.failed_names(report))]
    return failed


def bad_ends(stage):
    """How binaries of a stage ended that should not have ended so, and what sanitizers say of it in their logs."""
    for path in sorted(glob.glob(f"{stage}/*{run_tests.BROKEN}")):
        with open(path, encoding="utf-8") as note:
            yield note.read()
        with open(path.removesuffix(run_tests.BROKEN) + ".log", encoding="utf-8", errors="replace") as log:
            yield from sorted(set(SANITIZER_SUMMARY.findall(log.read())))


def main():
    results = sys.argv[1]
    for stage in failed_stages(results):
        beside = os.path.join(glob.escape(results), stage)
        reports = sorted([*glob.glob(f"{beside}.xml"), *glob.glob(f"{beside}/*.xml")])
        names = [name for report in reports for name in failed_tests(report)]
        for name in [*names, *bad_ends(beside)] or ["see above"]:
            print(f"  FAILED  {stage}: {name}")


if __name__ == "__main__":
    main()
