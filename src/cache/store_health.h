// Whether the cache can store, as its last attempt has shown: what the gauge layover_cache_degraded says, and
// a line in the log when that changes, however many requests it concerns.
#pragma once

#include <mutex>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/log_pause.h"
#include "metrics/metrics.h"

namespace layover::cache {

/// Shared by all loops; thread-safe.
class StoreHealth {
 public:
  /// `path` is the cache directory.
  StoreHealth(std::string path, metrics::Metrics& metrics) : path_(std::move(path)), metrics_(metrics) {}

  /// Content could not be stored, by a fault or for lack of room.
  void note_failure(const Error& error);
  void note_success();

 private:
  const std::string path_;
  metrics::Metrics& metrics_;
  std::mutex mutex_;
  bool is_degraded_ = false;
  bool is_told_ = false;  // of this failure: its end is told too
  LogPause failures_;     // under the mutex
};

}  // namespace layover::cache
