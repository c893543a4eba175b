// What an open index needs in the background: its records checked, its trouble mended, its copy renewed, and
// the ballast for a full disk.
#pragma once

#include <functional>

#include "cache/cache.h"
#include "net/task.h"

namespace layover::cache {

/// Never ends; one such task per cache. All that blocks is done on the pool. `start_sweep` is called where
/// another index has taken the place of a damaged one; callable as long as the task lives.
net::Task<void> keep_index(Cache& cache, std::function<void()> start_sweep);

}  // namespace layover::cache
