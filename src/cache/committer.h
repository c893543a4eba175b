// The commit of a verified download: data synced, file renamed into place, directory synced, then the
// index entry, in that order, so that a crash at any instant leaves the whole blob or none.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "cache/directory.h"
#include "cache/fill_state.h"
#include "cache/index_writer.h"
#include "net/task.h"

namespace layover::cache {

/// The attribute in which a file keeps the registries that delivered it, a name a line.
inline constexpr const char* kOriginAttribute = "user.layover.origin";
/// Content up to this size is also kept beside the index.
inline constexpr Bytes kSmallContent = 16_KiB;

/// Shared by all loops; thread-safe.
class Committer {
 public:
  Committer(Directory& directory, IndexWriter& writer, const Clock& clock)
      : directory_(directory), writer_(writer), clock_(clock) {}

  const Directory& directory() const { return directory_; }

  /// Moves the verified partial file at `path` into place and records it with the grants of all scopes
  /// that were admitted. After a failure the partial file is gone.
  net::Task<Result<void>> commit(std::shared_ptr<FillState> state, std::string path);

 private:
  Directory& directory_;
  IndexWriter& writer_;
  const Clock& clock_;
};

}  // namespace layover::cache
