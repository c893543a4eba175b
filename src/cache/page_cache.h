// Whether bytes of a file are in memory: what is not would make sendfile(2) block a loop, so the pool
// reads it first. A hint, never a promise.
#pragma once

#include "base/bytes.h"
#include "base/error.h"

namespace layover::cache {

/// cachestat(2) where the kernel has it (6.5), else preadv2(2) with RWF_NOWAIT. Cheap; any thread.
bool is_in_memory(int fd, ByteRange range);

/// Lets go of the range's pages, where nobody else holds them. Any thread.
void drop_from_memory(int fd, ByteRange range);

/// Reads the range so that it is in memory. Blocks: pool only.
Result<void> bring_into_memory(int fd, ByteRange range);

}  // namespace layover::cache
