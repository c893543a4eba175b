// Eviction: which content goes when room is needed, and how it goes: the index forgets it, then its file
// is unlinked. Readers that have it open are not disturbed; who asks for it later downloads it again.
#pragma once

#include <memory>
#include <vector>

#include "base/random.h"
#include "cache/index.h"
#include "net/task.h"

namespace layover::cache {

class Cache;

/// Which content is worth least. Thread-safe.
class EvictionPolicy {
 public:
  virtual ~EvictionPolicy() = default;

  /// Some entries that may go, the first to go first. Empty only where the index is. Reads the index: pool
  /// only.
  virtual std::vector<ContentEntry> choose(const Index& index, WallTime now) = 0;
};

/// What was used longest ago among entries drawn at random: close to the longest ago of all, without a
/// list of all that each hit would have to change.
class SampledLastUse final : public EvictionPolicy {
 public:
  explicit SampledLastUse(Random& random) : random_(random) {}
  std::vector<ContentEntry> choose(const Index& index, WallTime now) override;

 private:
  Random& random_;
};

/// Evicts whenever the cache's budget asks for it. Never ends; one such task per cache. The policy is shared
/// with its jobs on the pool.
net::Task<void> keep_within_limits(Cache& cache, std::shared_ptr<EvictionPolicy> policy);
/// Drops partial downloads that nobody has asked for in a day. Never ends; one such task per cache.
net::Task<void> drop_old_left_overs(Cache& cache);

}  // namespace layover::cache
