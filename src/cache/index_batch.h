// The changes of one write transaction of the index: the write side of what index.h reads.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "cache/index_changes.h"
#include "cache/index_records.h"
#include "cache/lmdb_support.h"

namespace layover::cache {

/// The handles of the index's databases, open as long as its environment.
struct IndexDatabases {
  MDB_dbi registries = 0;
  MDB_dbi repositories = 0;
  MDB_dbi content = 0;
  MDB_dbi grants = 0;
  MDB_dbi tags = 0;
  MDB_dbi meta = 0;
};

/// Visits changes; aborted unless committed. The first failure sticks: the rest is skipped, and commit
/// gives it. Pool only, one at a time.
class IndexBatch {
 public:
  /// Takes the write transaction over. `totals` are those before it.
  IndexBatch(const IndexDatabases& databases, MDB_txn* transaction, Totals totals)
      : databases_(databases), transaction_(transaction), totals_(totals) {}

  void operator()(const PutContent& change);
  void operator()(const RemoveContent& change);
  void operator()(const TouchContent& change);
  void operator()(const PutGrant& change);
  void operator()(const RemoveGrant& change);
  void operator()(const PutTag& change);
  void operator()(const RemoveTag& change);
  void operator()(const RevokeTag& change);
  void operator()(const auto&) {}  // lives in an environment of its own: see SmallBatch

  /// Gives the totals after the changes, once all are durable.
  Result<Totals> commit();
  /// LMDB's code for the first failure.
  int code() const { return code_; }

 private:
  std::string_view get(MDB_dbi database, std::string_view key);
  void put(MDB_dbi database, std::string_view key, std::string_view value);
  void remove(MDB_dbi database, std::string_view key);
  void remove_all(MDB_dbi database, std::string_view prefix);
  std::uint32_t id_of(MDB_dbi database, const std::string& key);
  RegistryId registry_id(const oci::RegistryName& name);
  RepositoryId repository_id(const Scope& scope);
  void count(const ContentRecord& record, int sign);

  const IndexDatabases& databases_;
  OwnedTransaction transaction_;
  Totals totals_;
  int code_ = MDB_SUCCESS;
};

}  // namespace layover::cache
