// The one writer of the index: changes from all loops are queued and committed in groups, so that many
// commits share one sync.
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "base/error.h"
#include "cache/index.h"
#include "cache/index_ballast.h"
#include "net/signal.h"
#include "net/task.h"

namespace layover::cache {

/// Thread-safe; lives until all loops have drained.
class IndexWriter {
 public:
  /// `ballast`, where there is one, is given up for an eviction that cannot be written otherwise.
  explicit IndexWriter(Index& index, Ballast* ballast = nullptr) : index_(index), ballast_(ballast) {}

  /// Resumes when the changes are durable, or none of them is made. Dropping the task does not take the
  /// changes back.
  net::Task<Result<void>> write(std::vector<Change> changes);
  /// The same with nobody waiting; a failure is logged. Loop thread.
  void write_later(std::vector<Change> changes);

 private:
  /// What became of one write; shared by the writer and the one who waits.
  struct Outcome {
    std::shared_ptr<net::Signal> done = std::make_shared<net::Signal>();
    std::mutex mutex;
    std::optional<Result<void>> result;
  };
  struct Pending {
    std::vector<Change> changes;
    std::shared_ptr<Outcome> outcome;
  };

  std::shared_ptr<Outcome> enqueue(std::vector<Change> changes);
  void run();
  Result<void> apply(std::span<const Change> changes);
  void commit_group(std::vector<Pending> group);
  static void settle(const Pending& pending, const Result<void>& result);

  Index& index_;
  Ballast* ballast_;
  std::mutex mutex_;
  std::vector<Pending> queue_;
  bool is_running_ = false;
};

}  // namespace layover::cache
