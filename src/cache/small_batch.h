// The changes of one write transaction of the environment `small`: copies of small content, lists of tags.
#pragma once

#include <string_view>

#include "base/error.h"
#include "cache/index_changes.h"
#include "cache/lmdb_support.h"

namespace layover::cache {

/// Visits changes; aborted unless committed. The first failure sticks: the rest is skipped, and commit gives
/// it. Pool only, one at a time.
class SmallBatch {
 public:
  /// Takes the write transaction over.
  SmallBatch(MDB_dbi database, MDB_txn* transaction) : database_(database), transaction_(transaction) {}

  /// Whether the change concerns this environment.
  static bool concerns(const Change& change);

  void operator()(const PutSmall& change);
  void operator()(const RemoveContent& change);
  void operator()(const PutTagList& change);
  void operator()(const RemoveTagLists& change);
  void operator()(const auto&) {}  // the index's own

  Result<void> commit();
  /// LMDB's code for the first failure.
  int code() const { return code_; }

 private:
  void put(std::string_view key, std::string_view value);
  void remove(std::string_view key);

  MDB_dbi database_;
  OwnedTransaction transaction_;
  int code_ = MDB_SUCCESS;
};

}  // namespace layover::cache
