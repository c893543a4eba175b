// Reading all that is stored again, slowly, to find what has rotted on the disk before a client does.
#pragma once

#include "base/bytes.h"
#include "cache/cache.h"
#include "net/task.h"

namespace layover::cache {

/// Reads at most cache.scrub_rate() bytes a second, all files once a day at most, beginning anywhere. What is
/// not what its name says goes to quarantine, is forgotten, and so is downloaded when it is asked for again.
/// Never ends; one such task per cache.
net::Task<void> scrub(Cache& cache);

/// Looks at one stored content; true where it was wrong, and is gone now.
net::Task<bool> scrub_one(Cache& cache, oci::Digest digest, Bytes per_second);

}  // namespace layover::cache
