"""`./bench`: runs rows of the table in docs/performance.md and writes what came of them."""

import argparse
import signal
import sys
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench import hits, index, latency, logs, loops, machine, memory, misses, report, whole_images  # noqa: E402
from tests.bench.bench import Bench  # noqa: E402
from tests.support.images import ROOT  # noqa: E402

MODULES = (hits, latency, logs, misses, whole_images, memory, index, loops)
ROWS = {row.__name__: row for module in MODULES for row in module.ROWS}
RESULTS = ROOT / "build" / "bench-results"


def parse():
    parser = argparse.ArgumentParser(prog="./bench", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help="only these (see --list)")
    parser.add_argument("--list", action="store_true", help="names the rows and ends")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: do all rows work?")
    parser.add_argument("--rounds", type=int, help="of each contender (5; quick: 1)")
    parser.add_argument("--seconds", type=int, help="a round of load (5; quick: 1)")
    parser.add_argument("--docs", action="store_true", help="puts the table into docs/performance.md")
    parser.add_argument("--tally", type=Path, help="where to write the counts of rows that worked, broke, 0")
    options = parser.parse_args()
    if options.docs and (options.rows or options.quick):
        parser.error("--docs is for all rows in full")
    for name in options.rows:
        if name not in ROWS:
            parser.error(f"there is no row {name}; there are: {' '.join(ROWS)}")
    return options


def run_rows(bench, rows):
    """The lines of those that worked, and the names of those that broke."""
    lines, broken = [], []
    for name, row in rows.items():
        began = time.monotonic()
        print(f"{name} ", end="", file=sys.stderr, flush=True)
        try:
            done = bench.run(row)
        except Exception:  # noqa: BLE001: whatever it is, the other rows are still to be measured
            print(f" FAILED, {time.monotonic() - began:.0f} s", file=sys.stderr)
            traceback.print_exc()
            broken.append(name)
            continue
        print(f" {time.monotonic() - began:.0f} s", file=sys.stderr)
        for line in done:
            print(report.table_row(line), end="", file=sys.stderr)
        lines += done
    return lines, broken


def end(number, _):
    sys.exit(128 + number)  # by way of every row's own clean-up


def main():
    options = parse()
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)  # ignored from birth where a shell runs this in the background
    if options.list:
        for name, row in ROWS.items():
            print(f"{name:20} {row.__doc__.splitlines()[0]}")
        return 0
    rounds = options.rounds or (1 if options.quick else 5)
    bench = Bench(options.quick, rounds, options.seconds or (1 if options.quick else 5))
    about = {**machine.describe(), "rounds": rounds, "is_quick": options.quick}
    rows = {name: row for name, row in ROWS.items() if not options.rows or name in options.rows}
    lines, broken = run_rows(bench, rows)
    results = RESULTS / "quick" if options.quick else RESULTS
    report.write(results, about, lines)
    if not options.quick:
        print(report.markdown(about, lines), end="")
    if options.docs and broken:
        print("docs/performance.md stays as it was, since rows failed")
    elif options.docs:
        report.write_into(ROOT / "docs" / "performance.md", about, lines)
    print(f"{len(rows) - len(broken)} rows measured, {len(broken)} failed; results: {results.relative_to(ROOT)}")
    if options.tally:
        options.tally.write_text(f"{len(rows) - len(broken)} {len(broken)} 0\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
