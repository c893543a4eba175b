// What index and batch share of LMDB's C interface: keys and values as text, errors as Error, and a
// transaction that is aborted unless committed.
#pragma once

#include <lmdb.h>

#include <memory>
#include <optional>
#include <string_view>

#include "base/error.h"

namespace layover::cache {

/// One LMDB environment, closed by its end.
struct CloseEnvironment {
  void operator()(MDB_env* environment) const { mdb_env_close(environment); }
};
using EnvironmentPointer = std::unique_ptr<MDB_env, CloseEnvironment>;

struct AbortTransaction {
  void operator()(MDB_txn* transaction) const { mdb_txn_abort(transaction); }
};
using OwnedTransaction = std::unique_ptr<MDB_txn, AbortTransaction>;

/// Valid as long as `text`.
MDB_val to_val(std::string_view text);
/// Valid as long as the transaction that gave the value.
std::string_view to_view(const MDB_val& value);

/// LMDB's return code as an error of the disk; `what` says what was tried.
Error lmdb_error(int code, std::string_view what);

/// Whether the first code of a transaction that is no success says that LMDB cannot follow its own pages.
bool is_damage(int code);

Result<MDB_txn*> begin_transaction(MDB_env* environment, unsigned flags);

/// mdb_get() in our words. The value is valid as long as the transaction.
int read_from(MDB_txn* transaction, MDB_dbi database, std::string_view key, std::string_view& value);

/// Nothing where there is no such key or it cannot be read. Valid as long as the transaction.
std::optional<std::string_view> get_from(MDB_txn* transaction, MDB_dbi database, std::string_view key);

}  // namespace layover::cache
