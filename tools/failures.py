"""Lists what failed, at the end of a long ./test: `failures.py RESULTS` prints a line for each failed test.

The names come from the reports that the stages left, and what sanitizers found from the logs beside them; a
stage that failed without either has a line of its own.
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


def sanitizer_findings(report):
    """What sanitizers say in sum in the log beside a report: whose test that was, only the log tells."""
    log_path = report.removesuffix(".xml") + ".log"
    if not os.path.exists(log_path):
        return []
    with open(log_path, encoding="utf-8", errors="replace") as log:
        found = sorted(set(SANITIZER_SUMMARY.findall(log.read())))
    return [f"{os.path.basename(log_path)}: {summary}" for summary in found]


def main():
    results = sys.argv[1]
    for stage in failed_stages(results):
        beside = os.path.join(glob.escape(results), stage)
        reports = sorted([*glob.glob(f"{beside}.xml"), *glob.glob(f"{beside}/*.xml")])
        names = [name for report in reports for name in failed_tests(report) + sanitizer_findings(report)]
        for name in names or ["see above"]:
            print(f"  FAILED  {stage}: {name}")


if __name__ == "__main__":
    main()
