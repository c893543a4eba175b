// Thin wrappers over LMDB's C interface.
#include "cache/lmdb_support.h"

#include <cerrno>

#include <fmt/format.h>

namespace layover::cache {

Error lmdb_error(int code, std::string_view what) {
  const ErrorCode kind = code == MDB_MAP_FULL || code == ENOSPC ? ErrorCode::kNoSpace
                         : is_damage(code)                      ? ErrorCode::kCorrupt
                                                                : ErrorCode::kIo;
  return {kind, ErrorSource::kDisk, fmt::format("{}: {}", what, mdb_strerror(code))};
}

// Keys and values are ours, so what LMDB finds wrong with their sizes or with the depth of the tree is damage
// too. No other process makes the file larger than our map. And so is a bad transaction, where nothing in it
// has failed before: it says so of a damaged root.
bool is_damage(int code) {
  return code == MDB_CORRUPTED || code == MDB_PAGE_NOTFOUND || code == MDB_INVALID ||
         code == MDB_VERSION_MISMATCH || code == MDB_INCOMPATIBLE || code == MDB_CURSOR_FULL ||
         code == MDB_BAD_VALSIZE || code == MDB_BAD_TXN || code == MDB_MAP_RESIZED;
}

MDB_val to_val(std::string_view text) {
  return {.mv_size = text.size(), .mv_data = const_cast<char*>(text.data())};
}
std::string_view to_view(const MDB_val& value) {
  return {static_cast<const char*>(value.mv_data), value.mv_size};
}

int read_from(MDB_txn* transaction, MDB_dbi database, std::string_view key, std::string_view& value) {
  MDB_val k = to_val(key);
  MDB_val v{};
  const int code = mdb_get(transaction, database, &k, &v);
  if (code == MDB_SUCCESS) value = to_view(v);
  return code;
}

std::optional<std::string_view> get_from(MDB_txn* transaction, MDB_dbi database, std::string_view key) {
  std::string_view value;
  if (read_from(transaction, database, key, value) != MDB_SUCCESS) return std::nullopt;
  return value;
}

Result<MDB_txn*> begin_transaction(MDB_env* environment, unsigned flags) {
  MDB_txn* transaction = nullptr;
  const int code = mdb_txn_begin(environment, nullptr, flags, &transaction);
  if (code != MDB_SUCCESS) return std::unexpected(lmdb_error(code, "starting an index transaction"));
  return transaction;
}

}  // namespace layover::cache
