// The commit of a verified download: data synced, file renamed into place, directory synced, then the
// index entry, in that order, so that a crash at any instant leaves the whole blob or none.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "cache/claims.h"
#include "cache/directory.h"
#include "cache/disk_budget.h"
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
  Committer(Directory& directory, const Index& index, IndexWriter& writer, DiskBudget& budget,
            const Clock& clock)
      : directory_(directory), index_(index), writer_(writer), budget_(budget), clock_(clock) {}

  const Directory& directory() const { return directory_; }
  DiskBudget& budget() const { return budget_; }

  /// Moves the verified partial file at `path` into place and records it with the grants of all scopes
  /// that were admitted. After a failure the partial file is gone. `reserved` counts the file's bytes
  /// until the index does.
  net::Task<Result<void>> commit(std::shared_ptr<FillState> state, std::string path, Reservation reserved);

 private:
  net::Task<void> settle_orphan(std::shared_ptr<const Claim> claim);

  Directory& directory_;
  const Index& index_;
  IndexWriter& writer_;
  DiskBudget& budget_;
  const Clock& clock_;
};

}  // namespace layover::cache
