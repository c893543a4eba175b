"""Counts a JUnit report, as pytest and ctest write them: `junit.py REPORT STATUS` prints a tally.

STATUS is the exit status of what wrote the report: a run that failed never counts as free of failures.
"""

import sys
import xml.etree.ElementTree as ElementTree

PYTEST_NO_TESTS = 5
CUT_OFF = (2, 124, 137)  # By SIGINT or timeout(1): the test that ran is reported as if it had passed.


def count(path):
    """(passed, failed, skipped) of the report at `path`; a missing or broken one counts nothing."""
    try:
        cases = list(ElementTree.parse(path).iter("testcase"))
    except (OSError, ElementTree.ParseError):
        return (0, 0, 0)
    failed_names = {name_of(case) for case in cases if has_any(case, ("failure", "error"))}
    skipped_names = {name_of(case) for case in cases if has_any(case, ("skipped",))} - failed_names
    names = {name_of(case) for case in cases}
    return (len(names) - len(failed_names) - len(skipped_names), len(failed_names), len(skipped_names))


def name_of(case):
    """A test whose clean-up fails too is reported twice under one name."""
    return (case.get("classname"), case.get("name"))


def has_any(case, tags):
    return any(case.find(tag) is not None for tag in tags)


def main():
    path, status = sys.argv[1], int(sys.argv[2])
    passed, failed, skipped = count(path)
    if status in CUT_OFF:
        passed, failed = max(0, passed - 1), failed + 1
    elif status not in (0, PYTEST_NO_TESTS) and failed == 0:
        failed = 1
    print(passed, failed, skipped)


if __name__ == "__main__":
    main()
