// What a loop reads: each call decodes what it has found before the next write may move it.
#include "cache/index.h"
#include "cache/index_fault.h"

namespace layover::cache {

Index::Snapshot::~Snapshot() {
  if (slot_ == nullptr) return;
  if (slot_->index != nullptr) {
    mdb_txn_reset(slot_->index);
    mdb_txn_reset(slot_->small);
  }
  slot_->mutex.unlock();
}

std::optional<std::string_view> Index::Snapshot::get(MDB_dbi database, std::string_view key) const {
  if (!slot_->is_readable) return std::nullopt;
  std::string_view value;
  const int code = read_from(slot_->index, database, key, value);
  index_.note(code);
  return code == MDB_SUCCESS ? std::optional(value) : std::nullopt;
}

std::optional<std::string_view> Index::Snapshot::get_small(std::string_view key) const {
  if (!slot_->is_small_readable) return std::nullopt;
  std::string_view value;
  const int code = read_from(slot_->small, index_.small_, key, value);
  index_.note_small(code);
  return code == MDB_SUCCESS ? std::optional(value) : std::nullopt;
}

std::optional<ContentRecord> Index::Snapshot::content(const oci::Digest& digest) const {
  const FaultNote fault(index_.index_marker_);
  const auto value = get(index_.databases_.content, content_key(digest));
  return value ? decode_content(*value) : std::nullopt;
}

std::optional<RegistryId> Index::Snapshot::registry(const oci::RegistryName& name) const {
  const FaultNote fault(index_.index_marker_);
  const auto value = get(index_.databases_.registries, name.str());
  return value ? decode_number(*value) : std::nullopt;
}

std::optional<RepositoryId> Index::Snapshot::repository(const Scope& scope) const {
  const FaultNote fault(index_.index_marker_);
  const auto registry_id = registry(scope.registry);
  if (!registry_id) return std::nullopt;
  const auto value =
      get(index_.databases_.repositories, repository_key(*registry_id, scope.repository.str()));
  return value ? decode_number(*value) : std::nullopt;
}

std::optional<GrantRecord> Index::Snapshot::grant(const Scope& scope, const oci::Digest& digest,
                                                  ContentKind kind) const {
  const FaultNote fault(index_.index_marker_);
  const auto id = repository(scope);
  if (!id) return std::nullopt;
  const auto value = get(index_.databases_.grants, grant_key(digest, *id, kind));
  return value ? decode_grant(*value) : std::nullopt;
}

std::optional<TagRecord> Index::Snapshot::tag(const Scope& scope, oci::AcceptVariant variant,
                                              const oci::Tag& tag) const {
  const FaultNote fault(index_.index_marker_);
  const auto id = repository(scope);
  if (!id) return std::nullopt;
  const auto value = get(index_.databases_.tags, tag_key(*id, variant, tag));
  return value ? decode_tag(*value) : std::nullopt;
}

bool Index::Snapshot::has_tag(const Scope& scope, const oci::Tag& tag) const {
  const FaultNote fault(index_.index_marker_);
  const auto id = repository(scope);
  if (!id) return false;
  for (unsigned bits = 0; bits <= UINT8_MAX; ++bits) {
    const auto variant = oci::AcceptVariant::from_bits(static_cast<std::uint8_t>(bits));
    if (get(index_.databases_.tags, tag_key(*id, variant, tag))) return true;
  }
  return false;
}

std::optional<TagListRecord> Index::Snapshot::tag_list(std::string_view page) const {
  const FaultNote fault(index_.small_marker_);
  const auto value = get_small(tag_list_key(tag_list_slot(page)));
  auto record = value ? decode_tag_list(*value) : std::nullopt;
  return record && record->page == page ? record : std::nullopt;
}

std::optional<std::string> Index::Snapshot::small(const oci::Digest& digest) const {
  const FaultNote fault(index_.small_marker_);
  const auto value = get_small(content_key(digest));
  return value ? decode_bytes(*value) : std::nullopt;
}

}  // namespace layover::cache
