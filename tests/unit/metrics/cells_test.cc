// Cells: nothing is lost, whoever counts.
#include "metrics/cells.h"

#include <thread>
#include <vector>

#include "tests/support/catch.h"

using layover::metrics::CellArray;
using layover::metrics::Counter;
using layover::metrics::Gauge;
using layover::metrics::Histogram;
using layover::metrics::kSharedSlot;
using layover::metrics::set_cell_index;
using std::chrono::milliseconds;

namespace {

constexpr double kBounds[] = {0.01, 0.1, 1};

}  // namespace

TEST_CASE("loops and other threads count at once and nothing is lost") {
  constexpr unsigned kLoops = 3;
  constexpr unsigned kOthers = 3;
  constexpr std::uint64_t kRounds = 50'000;
  CellArray cells(kLoops, 10);
  const Histogram histogram(cells, 2, kBounds);
  {
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < kLoops + kOthers; ++i) {
      threads.emplace_back([&cells, &histogram, i] {
        if (i < kLoops) set_cell_index(i);
        for (std::uint64_t round = 0; round < kRounds; ++round) {
          Counter(cells, 0).add(2);
          histogram.observe(milliseconds(500));
          if (round % 1000 == 0) static_cast<void>(Counter(cells, 0).value());
        }
      });
    }
  }
  CHECK(Counter(cells, 0).value() == 2 * kRounds * (kLoops + kOthers));
  const auto snapshot = histogram.snapshot();
  CHECK(snapshot.count == kRounds * (kLoops + kOthers));
  CHECK(snapshot.counts == std::vector<std::uint64_t>{0, 0, snapshot.count, 0});
  CHECK(snapshot.sum == Approx(0.5 * static_cast<double>(snapshot.count)));
}

TEST_CASE("a gauge raised by one thread is lowered by another") {
  CellArray cells(2, 1);
  const Gauge gauge(cells, 0);
  std::jthread([&gauge] {
    set_cell_index(0);
    gauge.add(3);
  }).join();
  CHECK(gauge.value() == 3);
  std::jthread([&gauge] {
    set_cell_index(1);
    gauge.sub(5);
  }).join();
  CHECK(gauge.value() == -2);
  gauge.add(2);
  CHECK(gauge.value() == 0);
}

TEST_CASE("a thread whose index is beyond the loops counts in the shared cells") {
  CellArray cells(1, 1);
  std::jthread([&cells] {
    set_cell_index(7);
    Counter(cells, 0).add(4);
    set_cell_index(kSharedSlot);
    Counter(cells, 0).add(1);
  }).join();
  CHECK(Counter(cells, 0).value() == 5);
}

TEST_CASE("a histogram's bounds are inclusive, and what exceeds them is counted too") {
  CellArray cells(1, Histogram::cells_for(std::size(kBounds)));
  const Histogram histogram(cells, 0, kBounds);
  histogram.observe(milliseconds(0));
  histogram.observe(milliseconds(10));
  histogram.observe(milliseconds(11));
  histogram.observe(milliseconds(1000));
  histogram.observe(milliseconds(1001));
  histogram.observe(milliseconds(-5));
  CHECK(histogram.snapshot().counts == std::vector<std::uint64_t>{3, 1, 1, 1});
  CHECK(histogram.snapshot().sum == Approx(2.022));
}

TEST_CASE("cells of one array do not disturb each other") {
  CellArray cells(2, 9);
  for (std::size_t i = 0; i < 9; ++i) Counter(cells, i).add(i);
  set_cell_index(1);
  for (std::size_t i = 0; i < 9; ++i) Counter(cells, i).add(10 * i);
  set_cell_index(kSharedSlot);
  for (std::size_t i = 0; i < 9; ++i) CHECK(cells.sum(i) == 11 * i);
}
