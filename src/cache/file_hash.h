// Reading a stored file through, for its digest: in pieces on the pool, so that nothing else waits long.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file_system.h"
#include "net/task.h"
#include "oci/digest.h"

namespace layover::cache {

/// How fast, and at whose cost.
struct HashPace {
  Bytes per_second;  // 0: as fast as it goes
  /// What was not in memory before is not left there.
  bool spares_memory = false;
};

/// Loop thread; dropping the task ends it after the job under way.
net::Task<Result<oci::Digest>> hash_file(FileSystem& files, std::string path, oci::Algorithm algorithm,
                                         HashPace pace = {});

}  // namespace layover::cache
