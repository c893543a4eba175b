// Last uses, collected on one loop and written in batches: a hit takes no lock and waits for nothing.
#pragma once

#include <chrono>
#include <unordered_map>

#include "base/clock.h"
#include "cache/index_writer.h"
#include "net/task.h"
#include "net/task_group.h"
#include "oci/digest.h"

namespace layover::cache {

/// Lives on its loop. What is collected when it dies is lost, which costs nothing but some seconds of
/// recency.
class Touches {
 public:
  /// Writes `interval` after the first of a batch.
  Touches(net::Loop& loop, IndexWriter& writer, std::chrono::milliseconds interval)
      : writer_(writer), interval_(interval), timer_(loop) {}

  /// Content was used at `now`; its record says `recorded`, which is left alone while it is fresh.
  void note(const oci::Digest& digest, WallTime recorded, WallTime now);

 private:
  net::Task<void> write_soon();
  void write();

  IndexWriter& writer_;
  const std::chrono::milliseconds interval_;
  std::unordered_map<oci::Digest, WallTime> used_;
  net::TaskGroup timer_;  // at most one task; last: it uses the members above
};

}  // namespace layover::cache
