"""Counts a JUnit report, as pytest and ctest write them: `junit.py REPORT STATUS` prints a tally.

STATUS is the exit status of what wrote the report: a run that failed never counts as free of failures.
"""

import sys
import xml.etree.ElementTree as ElementTree

PYTEST_NO_TESTS = 5
CUT_OFF = (2, 124, 137)  # By SIGINT or timeout(1): the test that ran is reported as if it had passed.


def count(path):
    """(passed, failed, skipped) of the report at `path`; a missing or broken one counts nothing."""
    cases = read_cases(path)
    failed = failed_names(path)
    skipped = names_of(cases, ("skipped",)) - failed
    return (len({name_of(case) for case in cases}) - len(failed) - len(skipped), len(failed), len(skipped))


def failed_names(path):
    """{(class, test)} of what failed in the report at `path`."""
    return names_of(read_cases(path), ("failure", "error"))


def read_cases(path):
    try:
        return list(ElementTree.parse(path).iter("testcase"))
    except (OSError, ElementTree.ParseError):
        return []


def names_of(cases, tags):
    return {name_of(case) for case in cases if any(case.find(tag) is not None for tag in tags)}


def name_of(case):
    """A test whose clean-up fails too is reported twice under one name."""
    return (case.get("classname"), case.get("name"))


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
