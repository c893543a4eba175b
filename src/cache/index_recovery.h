// An index that cannot be used, and what takes its place: opened again, else its last copy, else an empty one
// whose files the sweep adopts.
#pragma once

#include <memory>

#include "base/error.h"
#include "cache/directory.h"
#include "cache/index.h"
#include "cache/index_ballast.h"

namespace layover::cache {

/// Opens the index of a cache directory, or what takes its place. Errors: the disk, not the index. Blocks:
/// start-up.
Result<std::unique_ptr<Index>> open_index(const Directory& directory, Ballast& ballast, unsigned loops);

/// What became of the trouble with an index.
enum class Mended {
  kAsItWas,   // with all that it knew
  kReplaced,  // there may be files that it does not know
};

/// Mends an index that has trouble. Pool only, one call at a time; an error: try again later.
Result<Mended> mend_index(const Directory& directory, Index& index);

/// Replaces the copy by one of the index as it is, where the disk has room for it. Pool only, one call at a
/// time.
Result<void> copy_index(const Directory& directory, const Index& index);

}  // namespace layover::cache
