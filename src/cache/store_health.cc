// A disk that works now and then is told of once a minute.
#include "cache/store_health.h"

#include <chrono>

#include "base/log.h"

namespace layover::cache {

namespace {

constexpr std::chrono::minutes kInterval{1};

}  // namespace

void StoreHealth::note_failure(const Error& error) {
  const std::lock_guard lock(mutex_);
  metrics_.set_cache_degraded(true);
  if (std::exchange(is_degraded_, true)) return;
  const auto now = Deadline::Clock::now();
  is_told_ = told_ == Deadline::Clock::time_point{} || now - told_ >= kInterval;
  if (!is_told_) return;
  told_ = now;
  log_error("the cache in {} cannot store: {}; until it can, what it lacks is passed on from upstream", path_,
            error.describe());
}

void StoreHealth::note_success() {
  const std::lock_guard lock(mutex_);
  if (!std::exchange(is_degraded_, false)) return;
  metrics_.set_cache_degraded(false);
  if (is_told_) log_info("the cache in {} can store again", path_);
}

}  // namespace layover::cache
