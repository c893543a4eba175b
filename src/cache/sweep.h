// Taking in files that the index does not know: what a crash between rename and index entry leaves, a
// volume copied without its index, or a damaged index that was set aside.
#pragma once

#include "cache/cache.h"

namespace layover::cache {

/// Goes through all stored files on the pool, some at a time, and adopts what has no entry: with the
/// origins kept on the file, and without grants, so that upstream is asked before it is served. Call on a
/// loop; nothing waits for it.
void adopt_unknown_files_later(Cache& cache);

}  // namespace layover::cache
