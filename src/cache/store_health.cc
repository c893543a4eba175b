// A disk that works now and then is told of once a minute.
#include "cache/store_health.h"

#include <utility>

#include "base/log.h"

namespace layover::cache {

void StoreHealth::note_failure(const Error& error) {
  const std::lock_guard lock(mutex_);
  metrics_.set_cache_degraded(true);
  if (std::exchange(is_degraded_, true)) return;
  is_told_ = failures_.count().has_value();
  if (!is_told_) return;
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
