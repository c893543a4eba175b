// Taking in files that the index does not know: what a crash between rename and index entry leaves, a
// volume copied without its index, or a damaged index that was set aside.
#pragma once

#include "cache/cache.h"
#include "net/task.h"

namespace layover::cache {

/// Goes through all stored files in the background and adopts what has no entry: hashed first, with the
/// origins kept on the file, and without grants, so that upstream is asked before it is served. What is
/// not what its name says goes to quarantine. Everything it does is in small jobs on the pool.
net::Task<void> adopt_unknown_files(Cache& cache, DiskBudget::Sweep sweep);

/// The same for the one file that may be stored under `digest`, at once, since somebody waits for it; a very
/// large one is left to the sweep. Whether there was such a file, and it may have an entry now.
net::Task<bool> adopt_stored_file(Cache& cache, oci::Digest digest);

}  // namespace layover::cache
