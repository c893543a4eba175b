// A group that fails is tried again one by one, so that one bad batch does not fail its neighbours.
#include "cache/index_writer.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "base/log.h"
#include "net/offload.h"

namespace layover::cache {

net::Task<Result<void>> IndexWriter::write(std::vector<Change> changes) {
  const auto outcome = enqueue(std::move(changes));
  for (;;) {
    const auto seen = outcome->done->version();
    {
      const std::lock_guard lock(outcome->mutex);
      if (outcome->result) co_return *outcome->result;
    }
    auto changed = co_await outcome->done->changed(seen, Deadline::never());
    (void)changed;  // without a deadline there is nothing to fail
  }
}

void IndexWriter::write_later(std::vector<Change> changes) { enqueue(std::move(changes)); }

std::shared_ptr<IndexWriter::Outcome> IndexWriter::enqueue(std::vector<Change> changes) {
  auto outcome = std::make_shared<Outcome>();
  bool must_start = false;
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back({.changes = std::move(changes), .outcome = outcome});
    must_start = !std::exchange(is_running_, true);
  }
  if (must_start) net::offload_detached(net::Work::kIndex, [this] { run(); });
  return outcome;
}

void IndexWriter::run() {
  for (;;) {
    std::vector<Pending> group;
    {
      const std::lock_guard lock(mutex_);
      if (queue_.empty()) {
        is_running_ = false;
        return;
      }
      group = std::exchange(queue_, {});
    }
    commit_group(std::move(group));
  }
}

// LMDB tells a disk that takes half of a write as an input/output error. What adds to the index does not get
// the ballast: it would be gone before an eviction needs it.
Result<void> IndexWriter::apply(std::span<const Change> changes) {
  auto applied = index_.apply(changes);
  if (applied || ballast_ == nullptr) return applied;
  const ErrorCode code = applied.error().code();
  if (code != ErrorCode::kNoSpace && code != ErrorCode::kIo) return applied;
  const bool is_eviction = std::ranges::all_of(
      changes, [](const Change& change) { return std::holds_alternative<RemoveContent>(change); });
  return is_eviction && ballast_->release() ? index_.apply(changes) : applied;
}

void IndexWriter::commit_group(std::vector<Pending> group) {
  std::vector<Change> all;
  for (const Pending& pending : group) all.insert(all.end(), pending.changes.begin(), pending.changes.end());
  const Result<void> result = apply(all);
  for (const Pending& pending : group) {
    const bool stands_alone = result || group.size() == 1;
    settle(pending, stands_alone ? result : apply(pending.changes));
  }
}

void IndexWriter::settle(const Pending& pending, const Result<void>& result) {
  if (!result) log_error("the index cannot be written: {}", result.error().describe());
  {
    const std::lock_guard lock(pending.outcome->mutex);
    pending.outcome->result = result;
  }
  pending.outcome->done->notify();
}

}  // namespace layover::cache
