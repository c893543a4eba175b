// Walking through all records, in parts with a transaction each, and copying them.
#include <array>
#include <memory>

#include "cache/index.h"
#include "cache/index_fault.h"

namespace layover::cache {

namespace {

/// Some milliseconds: a transaction that reads keeps the pages that it may need from being used again.
constexpr unsigned kRecordsAtOnce = 4096;

struct CloseCursor {
  void operator()(MDB_cursor* cursor) const { mdb_cursor_close(cursor); }
};
using OwnedCursor = std::unique_ptr<MDB_cursor, CloseCursor>;

using IsSound = bool (*)(std::string_view key, std::string_view value);

bool is_number(std::string_view, std::string_view value) { return decode_number(value).has_value(); }
bool is_content(std::string_view key, std::string_view value) {
  return digest_of_key(key) && decode_content(value);
}
bool is_grant(std::string_view, std::string_view value) { return decode_grant(value).has_value(); }
bool is_tag(std::string_view, std::string_view value) { return decode_tag(value).has_value(); }

}  // namespace

Result<bool> Index::check_some(IndexWalk& walk) const {
  const std::shared_lock lock(environments_mutex_);
  const FaultNote fault(index_marker_);
  const auto transaction = begin_reading();
  if (!transaction) return std::unexpected(transaction.error());
  const std::array<std::pair<MDB_dbi, IsSound>, 5> all{{{databases_.registries, is_number},
                                                        {databases_.repositories, is_number},
                                                        {databases_.content, is_content},
                                                        {databases_.grants, is_grant},
                                                        {databases_.tags, is_tag}}};
  if (walk.database >= all.size()) return false;
  const auto [database, is_sound] = all.at(walk.database);
  MDB_cursor* opened = nullptr;
  int code = mdb_cursor_open(transaction->get(), database, &opened);
  const OwnedCursor cursor(opened);
  MDB_val key = to_val(walk.next);
  MDB_val value{};
  if (code == MDB_SUCCESS) {
    code = mdb_cursor_get(cursor.get(), &key, &value, walk.next.empty() ? MDB_FIRST : MDB_SET_RANGE);
  }
  // Keys come in their order, or else the walk might never end: pages can be linked in a circle.
  if (code == MDB_SUCCESS && to_view(key) < walk.next) code = MDB_CORRUPTED;
  for (unsigned i = 0; i < kRecordsAtOnce && code == MDB_SUCCESS; ++i) {
    ++walk.records;
    if (!is_sound(to_view(key), to_view(value))) ++walk.unsound;
    const std::string_view passed = to_view(key);
    code = mdb_cursor_get(cursor.get(), &key, &value, MDB_NEXT);
    if (code == MDB_SUCCESS && to_view(key) <= passed) code = MDB_CORRUPTED;
  }
  if (code == MDB_SUCCESS) {
    walk.next = to_view(key);
    return true;
  }
  note(code);
  if (code != MDB_NOTFOUND) return std::unexpected(lmdb_error(code, "checking the index"));
  walk.next.clear();
  return ++walk.database < all.size();
}

Result<void> Index::copy_to(int fd) const {
  const std::shared_lock lock(environments_mutex_);
  const FaultNote fault(index_marker_);
  if (!environment_)
    return failure(ErrorCode::kIo, ErrorSource::kDisk, "the index is closed after a failure");
  const int code = mdb_env_copyfd2(environment_.get(), fd, MDB_CP_COMPACT);
  note(code);
  if (code != MDB_SUCCESS) return std::unexpected(lmdb_error(code, "copying the index"));
  return {};
}

}  // namespace layover::cache
