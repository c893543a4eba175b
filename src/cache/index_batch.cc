// Each change reads what it needs within the transaction, so that changes of one batch see each other.
#include "cache/index_batch.h"

#include <chrono>

namespace layover::cache {

namespace {

/// Touches are batched by each loop: they come out of order by seconds.
constexpr std::chrono::minutes kOutOfOrder{1};

}  // namespace

void IndexBatch::operator()(const PutContent& change) {
  auto record = decode_content(get(databases_.content, content_key(change.digest)));
  if (record) {
    count(*record, -1);
    record->size = change.size;
  } else {
    record = ContentRecord{
        .kind = change.kind, .size = change.size, .added = change.now, .used = change.now, .origins = {}};
  }
  for (const auto& origin : change.origins) {
    const RegistryId id = registry_id(origin);
    if (!record->has_origin(id)) record->origins.push_back(id);
  }
  count(*record, 1);
  put(databases_.content, content_key(change.digest), encode(*record));
}

void IndexBatch::operator()(const RemoveContent& change) {
  const std::string key = content_key(change.digest);
  if (const auto record = decode_content(get(databases_.content, key))) count(*record, -1);
  remove(databases_.content, key);
  remove_all(databases_.grants, key);  // a grant's key starts with its content's
}

void IndexBatch::operator()(const TouchContent& change) {
  const std::string key = content_key(change.digest);
  auto record = decode_content(get(databases_.content, key));
  // A time far ahead is of a clock that has been set back since.
  const bool is_known = record && record->used >= change.used && record->used - change.used < kOutOfOrder;
  if (!record || is_known) return;
  record->used = change.used;
  put(databases_.content, key, encode(*record));
}

void IndexBatch::operator()(const PutGrant& change) {
  put(databases_.grants, grant_key(change.digest, repository_id(change.scope), change.kind),
      encode(change.record));
}

void IndexBatch::operator()(const RemoveGrant& change) {
  remove(databases_.grants, grant_key(change.digest, repository_id(change.scope), change.kind));
}

void IndexBatch::operator()(const PutTag& change) {
  put(databases_.tags, tag_key(repository_id(change.scope), change.variant, change.tag),
      encode(change.record));
}

void IndexBatch::operator()(const RemoveTag& change) {
  remove(databases_.tags, tag_key(repository_id(change.scope), change.variant, change.tag));
}

void IndexBatch::operator()(const RevokeTag& change) {
  const RepositoryId repository = repository_id(change.scope);
  for (unsigned bits = 0; bits <= UINT8_MAX; ++bits) {
    const auto variant = oci::AcceptVariant::from_bits(static_cast<std::uint8_t>(bits));
    const std::string key = tag_key(repository, variant, change.tag);
    const auto record = decode_tag(get(databases_.tags, key));
    if (!record) continue;
    remove(databases_.grants, grant_key(record->digest, repository, ContentKind::kManifest));
    remove(databases_.tags, key);
  }
}

Result<Totals> IndexBatch::commit() {
  put(databases_.meta, "totals", encode(totals_));
  if (code_ == MDB_SUCCESS) code_ = mdb_txn_commit(transaction_.release());
  if (code_ != MDB_SUCCESS) return std::unexpected(lmdb_error(code_, "writing the index"));
  return totals_;
}

std::string_view IndexBatch::get(MDB_dbi database, std::string_view key) {
  MDB_val k = to_val(key);
  MDB_val v{};
  const int code = mdb_get(transaction_.get(), database, &k, &v);
  if (code == MDB_SUCCESS) return to_view(v);
  if (code != MDB_NOTFOUND && code_ == MDB_SUCCESS) code_ = code;
  return {};
}

void IndexBatch::put(MDB_dbi database, std::string_view key, std::string_view value) {
  if (code_ != MDB_SUCCESS) return;
  MDB_val k = to_val(key);
  MDB_val v = to_val(value);
  code_ = mdb_put(transaction_.get(), database, &k, &v, 0);
}

void IndexBatch::remove(MDB_dbi database, std::string_view key) {
  if (code_ != MDB_SUCCESS) return;
  MDB_val k = to_val(key);
  const int code = mdb_del(transaction_.get(), database, &k, nullptr);
  if (code != MDB_NOTFOUND) code_ = code;
}

void IndexBatch::remove_all(MDB_dbi database, std::string_view prefix) {
  if (code_ != MDB_SUCCESS) return;
  MDB_cursor* cursor = nullptr;
  code_ = mdb_cursor_open(transaction_.get(), database, &cursor);
  if (code_ != MDB_SUCCESS) return;
  for (int code = MDB_SUCCESS; code == MDB_SUCCESS;) {
    MDB_val k = to_val(prefix);
    MDB_val v{};
    code = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
    if (code == MDB_SUCCESS && !to_view(k).starts_with(prefix)) code = MDB_NOTFOUND;
    if (code == MDB_SUCCESS) code = mdb_cursor_del(cursor, 0);
    if (code != MDB_NOTFOUND) code_ = code;
  }
  mdb_cursor_close(cursor);
}

std::uint32_t IndexBatch::id_of(MDB_dbi database, const std::string& key) {
  if (const auto known = decode_number(get(database, key))) return *known;
  const auto next = decode_number(get(databases_.meta, "next-id"));
  if (!next && code_ == MDB_SUCCESS) code_ = MDB_CORRUPTED;  // never guess: ids are part of grants
  const std::uint32_t id = next.value_or(0);
  put(databases_.meta, "next-id", encode_number(id + 1));
  put(database, key, encode_number(id));
  return id;
}

RegistryId IndexBatch::registry_id(const oci::RegistryName& name) {
  return id_of(databases_.registries, name.str());
}

RepositoryId IndexBatch::repository_id(const Scope& scope) {
  return id_of(databases_.repositories, repository_key(registry_id(scope.registry), scope.repository.str()));
}

void IndexBatch::count(const ContentRecord& record, int sign) {
  const auto step = static_cast<std::uint64_t>(sign);
  totals_.bytes += step * record.size.count;
  (record.kind == ContentKind::kManifest ? totals_.manifests : totals_.blobs) += step;
}

}  // namespace layover::cache
