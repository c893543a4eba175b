// The memory behind the cells, and what is too long to be inlined.
#include "metrics/cells.h"

#include <algorithm>
#include <new>

namespace layover::metrics {
namespace {

constexpr std::size_t kCacheLine = 64;
constexpr std::size_t kNumbersPerLine = kCacheLine / sizeof(std::uint64_t);

std::size_t whole_lines(std::size_t numbers) {
  return (numbers + kNumbersPerLine - 1) / kNumbersPerLine * kNumbersPerLine;
}

double plus(std::uint64_t bits, double n) { return std::bit_cast<double>(bits) + n; }

}  // namespace

namespace internal {
constinit thread_local unsigned cell_index = kSharedSlot;
}

void set_cell_index(unsigned index) { internal::cell_index = index; }

CellArray::CellArray(unsigned loops, std::size_t size)
    : loops_(loops), size_(size), stride_(whole_lines(size)) {
  // calloc, because large zeroed memory from it is not touched; one line more to align the first cell.
  const std::size_t numbers = stride_ * (std::size_t{loops} + 1) + kNumbersPerLine;
  memory_.reset(std::calloc(numbers, sizeof(std::uint64_t)));
  if (!memory_) throw std::bad_alloc();
  void* first = memory_.get();
  std::size_t space = numbers * sizeof(std::uint64_t);
  first_ = static_cast<std::uint64_t*>(std::align(kCacheLine, space - kCacheLine, first, space));
}

void CellArray::add_real(std::size_t index, double n) {
  const unsigned slot = std::min(internal::cell_index, loops_);
  std::atomic_ref cell(cells_of(slot)[index]);
  std::uint64_t bits = cell.load(std::memory_order_relaxed);
  if (slot < loops_) {
    cell.store(std::bit_cast<std::uint64_t>(plus(bits, n)), std::memory_order_relaxed);
    return;
  }
  while (!cell.compare_exchange_weak(bits, std::bit_cast<std::uint64_t>(plus(bits, n)),
                                     std::memory_order_relaxed)) {
  }
}

std::uint64_t CellArray::sum(std::size_t index) const {
  std::uint64_t total = 0;
  for (unsigned slot = 0; slot <= loops_; ++slot) {
    total += std::atomic_ref(cells_of(slot)[index]).load(std::memory_order_relaxed);
  }
  return total;
}

double CellArray::sum_real(std::size_t index) const {
  double total = 0;
  for (unsigned slot = 0; slot <= loops_; ++slot) {
    total += std::bit_cast<double>(std::atomic_ref(cells_of(slot)[index]).load(std::memory_order_relaxed));
  }
  return total;
}

void Histogram::observe(std::chrono::nanoseconds duration) const {
  const double seconds = std::max(0.0, std::chrono::duration<double>(duration).count());
  const auto bucket = std::ranges::lower_bound(bounds_, seconds) - bounds_.begin();
  cells_->add(first_ + static_cast<std::size_t>(bucket), 1);
  cells_->add_real(first_ + bounds_.size() + 1, seconds);
}

Histogram::Snapshot Histogram::snapshot() const {
  Snapshot snapshot;
  snapshot.counts.reserve(bounds_.size() + 1);
  for (std::size_t bucket = 0; bucket <= bounds_.size(); ++bucket) {
    snapshot.counts.push_back(cells_->sum(first_ + bucket));
    snapshot.count += snapshot.counts.back();
  }
  snapshot.sum = cells_->sum_real(first_ + bounds_.size() + 1);
  return snapshot;
}

}  // namespace layover::metrics
