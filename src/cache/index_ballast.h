// Room for the index on a disk that is full: a file of reserved blocks that is given up so that an eviction
// can be written down, which then makes room for all.
#pragma once

#include <mutex>
#include <string>

#include "base/bytes.h"
#include "base/file_system.h"

namespace layover::cache {

/// Of a batch's pages, many times over.
inline constexpr Bytes kBallast = 4_MiB;

/// Thread-safe. Blocks: start-up or pool.
class Ballast {
 public:
  /// In the cache directory `path`.
  Ballast(FileSystem& files, const std::string& path) : files_(files), file_(path + "/ballast") {}

  /// Gives the blocks up. False where there are none, or the disk has room without them.
  bool release();
  /// Reserves them where they are not and there is much more room than that.
  void restore();

 private:
  bool has_room() const;

  FileSystem& files_;
  const std::string file_;
  std::mutex mutex_;
};

}  // namespace layover::cache
