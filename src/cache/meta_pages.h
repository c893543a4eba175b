// The two pages at the start of an LMDB file that say where everything else is: LMDB believes them as long as
// their first bytes are right, however much they ask for.
#pragma once

#include <string>

#include "base/error.h"

namespace layover::cache {

/// Whether LMDB may be given the file `data` (data.mdb): kCorrupt where a meta page speaks of pages that the
/// file cannot have. A file that is absent or empty, and what LMDB finds wrong by itself, are no error.
/// Blocks.
Result<void> check_meta_pages(const std::string& data);

}  // namespace layover::cache
