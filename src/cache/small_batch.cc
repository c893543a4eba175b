// Copies go by the content's key, pages of tags by slots.
#include "cache/small_batch.h"

#include <string>
#include <variant>

namespace layover::cache {

bool SmallBatch::concerns(const Change& change) {
  return std::holds_alternative<PutSmall>(change) || std::holds_alternative<RemoveContent>(change) ||
         std::holds_alternative<PutTagList>(change) || std::holds_alternative<RemoveTagLists>(change);
}

void SmallBatch::operator()(const PutSmall& change) {
  put(content_key(change.digest), encode_bytes(change.bytes));
}

void SmallBatch::operator()(const RemoveContent& change) { remove(content_key(change.digest)); }

void SmallBatch::operator()(const PutTagList& change) {
  put(tag_list_key(tag_list_slot(change.record.page)), encode(change.record));
}

void SmallBatch::operator()(const RemoveTagLists& change) {
  const std::string beginning = change.scope.to_string() + "?";
  for (unsigned slot = 0; slot < kTagListSlots; ++slot) {
    const std::string key = tag_list_key(slot);
    const auto value = get_from(transaction_.get(), database_, key);
    const auto record = value ? decode_tag_list(*value) : std::nullopt;
    if (record && record->page.starts_with(beginning)) remove(key);
  }
}

Result<void> SmallBatch::commit() {
  if (code_ == MDB_SUCCESS) code_ = mdb_txn_commit(transaction_.release());
  if (code_ != MDB_SUCCESS) return std::unexpected(lmdb_error(code_, "writing beside the index"));
  return {};
}

void SmallBatch::put(std::string_view key, std::string_view value) {
  if (code_ != MDB_SUCCESS) return;
  MDB_val k = to_val(key);
  MDB_val v = to_val(value);
  code_ = mdb_put(transaction_.get(), database_, &k, &v, 0);
}

void SmallBatch::remove(std::string_view key) {
  if (code_ != MDB_SUCCESS) return;
  MDB_val k = to_val(key);
  const int code = mdb_del(transaction_.get(), database_, &k, nullptr);
  if (code != MDB_NOTFOUND) code_ = code;
}

}  // namespace layover::cache
