// Numbers that are added to without locks: every loop thread has cells of its own, which only it writes,
// and a scrape sums them. Threads that are no loops share one more set of cells, with atomic adds.
// Cells of different threads are on different cache lines.
#pragma once

#include <atomic>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <memory>
#include <span>
#include <vector>

namespace layover::metrics {

/// The slot of a thread that is no loop.
inline constexpr unsigned kSharedSlot = std::numeric_limits<unsigned>::max();

/// Gives the calling thread the cells of loop `index` (0 for the first loop), until it says
/// otherwise. No two running threads may have the same index; call it first thing on a loop's thread.
void set_cell_index(unsigned index);

namespace internal {
extern constinit thread_local unsigned cell_index;
}

/// `size` numbers, all 0 at first, each kept once per loop and once for all other threads.
/// Memory that is never written stays unbacked, so that sparse arrays are cheap.
class CellArray {
 public:
  CellArray(unsigned loops, std::size_t size);

  std::size_t size() const { return size_; }

  /// Any thread; wait-free on a loop.
  void add(std::size_t index, std::uint64_t n) {
    const unsigned slot = internal::cell_index;
    if (slot < loops_) {
      // The only writer: a plain load and store, without the cost of a locked instruction.
      std::atomic_ref cell(cells_of(slot)[index]);
      cell.store(cell.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
    } else {
      std::atomic_ref(cells_of(loops_)[index]).fetch_add(n, std::memory_order_relaxed);
    }
  }
  /// For cells that hold a double; never mixed with `add` on the same index.
  void add_real(std::size_t index, double n);

  /// Any thread. Adds that run at the same time may or may not be seen.
  std::uint64_t sum(std::size_t index) const;
  double sum_real(std::size_t index) const;

 private:
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };

  std::uint64_t* cells_of(unsigned slot) const { return first_ + slot * stride_; }

  unsigned loops_;
  std::size_t size_;
  std::size_t stride_;  // numbers from one slot's first to the next's: whole cache lines
  std::unique_ptr<void, Free> memory_;
  std::uint64_t* first_;
};

/// A number that only grows. A handle: copy it freely; it lives as long as its Metrics.
class Counter {
 public:
  Counter(CellArray& cells, std::size_t index) : cells_(&cells), index_(index) {}
  void add(std::uint64_t n = 1) const { cells_->add(index_, n); }
  std::uint64_t value() const { return cells_->sum(index_); }

 private:
  CellArray* cells_;
  std::size_t index_;
};

/// A number that goes up and down; what one thread adds another may subtract. A handle like Counter.
class Gauge {
 public:
  Gauge(CellArray& cells, std::size_t index) : cells_(&cells), index_(index) {}
  void add(std::uint64_t n = 1) const { cells_->add(index_, n); }
  /// One thread's cell may wrap below 0; the sum over all is right again.
  void sub(std::uint64_t n = 1) const { cells_->add(index_, ~n + 1); }
  std::int64_t value() const { return std::bit_cast<std::int64_t>(cells_->sum(index_)); }

 private:
  CellArray* cells_;
  std::size_t index_;
};

/// Counts of durations by size. A handle like Counter.
class Histogram {
 public:
  struct Snapshot {
    std::vector<std::uint64_t> counts;  // of each bucket alone; the last is for what exceeds all bounds
    std::uint64_t count = 0;
    double sum = 0;  // seconds
  };

  /// How many cells a histogram with these bounds takes.
  static constexpr std::size_t cells_for(std::size_t bounds) { return bounds + 2; }

  /// `bounds`: the buckets' upper bounds in seconds, inclusive, ascending; owned by someone who lives as
  /// long as `cells`.
  Histogram(CellArray& cells, std::size_t first, std::span<const double> bounds)
      : cells_(&cells), first_(first), bounds_(bounds) {}

  void observe(std::chrono::nanoseconds duration) const;
  Snapshot snapshot() const;

 private:
  CellArray* cells_;
  std::size_t first_;
  std::span<const double> bounds_;
};

}  // namespace layover::metrics
