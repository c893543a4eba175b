// Stored content that is not what its name says: out of the way, forgotten, and counted.
#pragma once

#include <memory>

#include "base/error.h"
#include "cache/cache.h"
#include "net/task.h"

namespace layover::cache {

/// Moves the file out of the way and removes its entry, so that the content is downloaded when it is asked
/// for again. An error is the index's: the entry is still there. Loop thread.
net::Task<Result<void>> put_into_quarantine(Cache& cache, std::shared_ptr<const Claim> claim);

}  // namespace layover::cache
