// Thin wrappers over LMDB's C interface.
#include "cache/lmdb_support.h"

#include <cerrno>

#include <fmt/format.h>

namespace layover::cache {

Error lmdb_error(int code, std::string_view what) {
  const ErrorCode kind = code == MDB_MAP_FULL || code == ENOSPC ? ErrorCode::kNoSpace
                         : code == MDB_CORRUPTED || code == MDB_INVALID || code == MDB_VERSION_MISMATCH ||
                                 code == MDB_PAGE_NOTFOUND || code == MDB_PANIC
                             ? ErrorCode::kCorrupt
                             : ErrorCode::kIo;
  return {kind, ErrorSource::kDisk, fmt::format("{}: {}", what, mdb_strerror(code))};
}

MDB_val to_val(std::string_view text) {
  return {.mv_size = text.size(), .mv_data = const_cast<char*>(text.data())};
}
std::string_view to_view(const MDB_val& value) {
  return {static_cast<const char*>(value.mv_data), value.mv_size};
}

std::optional<std::string_view> get_from(MDB_txn* transaction, MDB_dbi database, std::string_view key) {
  MDB_val k = to_val(key);
  MDB_val v{};
  if (mdb_get(transaction, database, &k, &v) != MDB_SUCCESS) return std::nullopt;
  return to_view(v);
}

Result<MDB_txn*> begin_transaction(MDB_env* environment, unsigned flags) {
  MDB_txn* transaction = nullptr;
  const int code = mdb_txn_begin(environment, nullptr, flags, &transaction);
  if (code != MDB_SUCCESS) return std::unexpected(lmdb_error(code, "starting an index transaction"));
  return transaction;
}

}  // namespace layover::cache
