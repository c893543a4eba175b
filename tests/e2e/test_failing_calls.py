"""System calls on the cache directory fail, or do half of what they were asked for, while layover starts and
while images are pulled: clients get the right bytes, a clear error or a short body, layover goes on, and nothing
that was stored is lost. A sample of what ./test --long does; LAYOVER_TEST_SEED repeats it."""

from tests.support import crash_bench
from tests.support.layover import ROOT

FAULTS = 8


def test_no_failing_call_costs_a_byte(tmp_path, site_a, seed):
    stock = crash_bench.plant_stock(site_a.open, 20, crash_bench.seeded(seed, "stock"))
    bench = crash_bench.Bench(tmp_path, site_a.open.port, stock, None)
    failing = crash_bench.FailingCalls(ROOT, bench)
    try:
        for number in range(FAULTS):
            bench.chance = crash_bench.seeded(seed, number)
            print(f"fault {number + 1} of {FAULTS}, seed {seed}: {failing.fail_once()}")
    finally:
        bench.end()
