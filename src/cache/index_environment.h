// Opening an LMDB environment from whatever lies in its place.
#pragma once

#include <string>

#include "base/bytes.h"
#include "base/error.h"
#include "cache/lmdb_support.h"

namespace layover::cache {

/// Opens or makes the environment in the directory `path`, with a smaller map where the address space is
/// limited. kCorrupt where what is there is no index of this machine, kNoSpace on a full disk. Blocks.
Result<EnvironmentPointer> open_environment(const std::string& path, unsigned readers);

/// Bytes of its file that hold something.
Bytes used_by(MDB_env* environment);

}  // namespace layover::cache
