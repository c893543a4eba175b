"""Runs the tests that CMake registered in one build tree: `run_tests.py BUILD RESULTS [FILTER...]`.

Catch2 binaries (unit_*, integration*) are run one for each processor at a time and counted by test case; FILTER
goes to them. Fuzz targets are left to fuzz.py; everything else that is registered goes through ctest. Reports and
output go to RESULTS, the tally beside it. A binary that crashes, hangs or leaves a sanitizer report counts as a
failure whatever its cases say.
"""

import concurrent.futures
import json
import os
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

import junit

BINARY_SECONDS = 600  # Far above what any takes; a hang ends here.
SHOWN_LOG_LINES = 60
BROKEN = ".broken"  # Beside a report: how a binary ended that failed whatever its cases say.
SANITIZER_REPORT = re.compile(r"(ERROR|WARNING): \w+Sanitizer|: runtime error: ")

SANITIZER_OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1:check_initialization_order=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    # Catch2 handles a crash in ways that are unsafe in a signal handler: it is the crash that counts.
    "TSAN_OPTIONS": "second_deadlock_stack=1:report_signal_unsafe=0",
}
SYMBOLIZER = "/usr/bin/llvm-symbolizer-19"


def registered_tests(build):
    """[(name, command)] of all that is registered with ctest."""
    listing = subprocess.run(
        ["ctest", "--test-dir", build, "--show-only=json-v1"], check=True, stdout=subprocess.PIPE
    ).stdout
    return [(test["name"], test["command"]) for test in json.loads(listing)["tests"] if "command" in test]


def test_environment():
    environment = dict(os.environ, **SANITIZER_OPTIONS)
    if os.path.exists(SYMBOLIZER):
        for name in ("ASAN", "UBSAN", "TSAN"):
            environment[f"{name}_OPTIONS"] += f":external_symbolizer_path={SYMBOLIZER}"
    return environment


def run_logged(command, log_path):
    """Runs a command in its own session with its output in a file; returns the exit status or "timeout"."""
    with open(log_path, "wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=test_environment(),
            start_new_session=True,
        )
        try:
            return process.wait(BINARY_SECONDS)
        except subprocess.TimeoutExpired:
            return "timeout"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def read_cases(report):
    """(cases, whether the report is complete); a case is (element, "passed" | "failed" | "skipped")."""
    cases = []
    open_case = None
    try:
        for event, element in ElementTree.iterparse(report, events=("start", "end")):
            if element.tag != "TestCase":
                continue
            if event == "start":
                open_case = element
            else:
                cases.append((element, outcome_of(element)))
                open_case = None
    except (OSError, ElementTree.ParseError):
        if open_case is not None:
            cases.append((open_case, "failed"))
        return cases, False
    return cases, True


def outcome_of(case):
    result = case.find("OverallResult")
    if result is None or result.get("success") != "true":
        return "failed"
    return "skipped" if int(result.get("skips", "0")) else "passed"


def print_failure(binary, case):
    """The failing assertions of one case, and how to repeat it."""
    name = case.get("name")
    print(f"    {name}")
    for element in case.iter():
        where = f"{element.get('filename')}:{element.get('line')}"
        if element.tag == "Expression" and element.get("success") == "false":
            print(f"      {where}: {text_of(element, 'Original')}")
            print(f"        with: {text_of(element, 'Expanded')}")
            for exception in element.iter("Exception"):
                print(f"        threw: {(exception.text or '').strip()}")
        elif element.tag in ("Failure", "FatalErrorCondition", "Exception"):
            print(f"      {where}: {element.tag}: {(element.text or '').strip()}")
    pattern = re.sub(r"([,\[\]\\*])", r"\\\1", name).replace("'", "'\\''")
    print(f"      to repeat: {binary} '{pattern}'")


def text_of(element, tag):
    child = element.find(tag)
    return " ".join((child.text or "").split()) if child is not None else ""


def print_log(log_path):
    """The first sanitizer report of a log, or where there is none its last lines."""
    with open(log_path, encoding="utf-8", errors="replace") as log:
        lines = log.read().splitlines()
    if not lines:
        return
    print(f"    from {os.path.relpath(log_path)}:")
    reports = [number for number, line in enumerate(lines) if SANITIZER_REPORT.search(line)]
    begin = reports[0] if reports else max(0, len(lines) - SHOWN_LOG_LINES)
    for line in lines[begin : begin + SHOWN_LOG_LINES]:
        print(f"      {line}")


def run_catch(name, command, results, filters):
    """One Catch2 binary; returns what report_catch takes."""
    report = os.path.join(results, f"{name}.xml")
    log_path = os.path.join(results, f"{name}.log")
    began = time.monotonic()
    status = run_logged([*command, *filters, "-r", "xml", "-d", "yes", "-o", report], log_path)
    return name, command, log_path, status, *read_cases(report), time.monotonic() - began


def report_catch(name, command, log_path, status, cases, is_complete, seconds):
    """Prints how a Catch2 binary went; returns (passed, failed, skipped)."""
    counts = [sum(outcome == wanted for _, outcome in cases) for wanted in ("passed", "failed", "skipped")]
    is_cut_short = not is_complete or status == "timeout" or status < 0
    is_broken = is_cut_short or (status != 0 and counts[1] == 0)
    counts[1] += is_broken and counts[1] == 0
    mark = "FAILED" if counts[1] else "ok"
    print(f"  {mark:<7} {name:<18} {counts[0]:4} passed {counts[1]:3} failed   {seconds:.1f} s")
    if counts[1]:
        for case, outcome in cases:
            if outcome == "failed":
                print_failure(os.path.relpath(command[0]), case)
        if is_broken:
            later = "; the cases after it did not run" if is_cut_short else ""
            end = f"{name}: {describe_status(status)}{later}"
            print(f"    {end}; to repeat: {os.path.relpath(command[0])}")
            with open(os.path.splitext(log_path)[0] + BROKEN, "w", encoding="utf-8") as note:
                note.write(end)
        print_log(log_path)
    sys.stdout.flush()
    return counts


def describe_status(status):
    if status == "timeout":
        return f"killed after {BINARY_SECONDS} s"
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"


def run_ctest(build, results, names):
    """All tests that are not Catch2 binaries; returns (passed, failed, skipped)."""
    report = os.path.join(results, "ctest.xml")
    pattern = "^(" + "|".join(re.escape(name) for name in names) + ")$"
    status = subprocess.run(
        ["ctest", "--test-dir", build, "-R", pattern, "--output-on-failure", "--no-tests=error",
         "--parallel", str(len(os.sched_getaffinity(0))), "--timeout", str(BINARY_SECONDS), "--output-junit", report],
        stdin=subprocess.DEVNULL,
        env=test_environment(),
    ).returncode
    passed, failed, skipped = junit.count(report)
    return (passed, failed or int(status != 0), skipped)


def main():
    build, results, filters = sys.argv[1], sys.argv[2], sys.argv[3:]
    os.makedirs(results, exist_ok=True)
    tests = registered_tests(build)
    is_catch = lambda name: name.startswith(("unit_", "integration"))
    # The longest first: nothing is left to wait for it at the end.
    binaries = sorted((test for test in tests if is_catch(test[0])), key=lambda test: "integration" not in test[0])
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        runs = [pool.submit(run_catch, *binary, results, filters) for binary in binaries]
        counts = [report_catch(*run.result()) for run in concurrent.futures.as_completed(runs)]
    others = [name for name, _ in tests if not is_catch(name) and not name.startswith("fuzz_")]
    if others and not filters:
        counts.append(run_ctest(build, results, others))
    total = [sum(column) for column in zip((0, 0, 0), *counts)]
    with open(f"{results}.tally", "w", encoding="ascii") as tally:
        print(*total, file=tally)
    if not counts:
        print("  no tests are registered in this build")
    return 1 if total[1] else 0


if __name__ == "__main__":
    sys.exit(main())
