// LMDB with MDB_NOTLS (a loop's read transaction is its own, whatever thread), durable commits, and an
// address space reserved once: the map never has to grow.
#include "cache/index.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <stdexcept>

#include <fmt/format.h>

#include "base/log.h"

namespace layover::cache {

namespace {

constexpr std::size_t kMapBytes = std::size_t{64} << 30;
constexpr std::size_t kLeastMapBytes = std::size_t{1} << 30;
constexpr unsigned kDatabases = 8;

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

/// Opens an environment, with a smaller map where the address space is limited.
Result<EnvironmentPointer> open_environment(const std::string& path, unsigned readers) {
  std::error_code made;
  std::filesystem::create_directories(path, made);
  if (made)
    return std::unexpected(system_error(made.value(), ErrorSource::kDisk, "making the directory " + path));
  int code = MDB_SUCCESS;
  for (std::size_t map = kMapBytes; map >= kLeastMapBytes; map /= 2) {
    MDB_env* raw = nullptr;
    mdb_env_create(&raw);
    EnvironmentPointer environment(raw);
    mdb_env_set_mapsize(raw, map);
    mdb_env_set_maxdbs(raw, kDatabases);
    mdb_env_set_maxreaders(raw, readers);
    code = mdb_env_open(raw, path.c_str(), MDB_NOTLS, 0640);
    if (code == MDB_SUCCESS) return environment;
    if (code != ENOMEM) break;
  }
  return std::unexpected(lmdb_error(code, "opening the index in " + path));
}

Result<MDB_txn*> begin(MDB_env* environment, unsigned flags) {
  MDB_txn* transaction = nullptr;
  const int code = mdb_txn_begin(environment, nullptr, flags, &transaction);
  if (code != MDB_SUCCESS) return std::unexpected(lmdb_error(code, "starting an index transaction"));
  return transaction;
}

struct AbortTransaction {
  void operator()(MDB_txn* transaction) const { mdb_txn_abort(transaction); }
};
using OwnedTransaction = std::unique_ptr<MDB_txn, AbortTransaction>;

}  // namespace

/// The changes of one write transaction: aborted unless committed.
class Index::Batch {
 public:
  Batch(const Databases& databases, MDB_txn* transaction, Totals totals)
      : databases_(databases), transaction_(transaction), totals_(totals) {}

  void operator()(const PutContent& change) {
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

  void operator()(const RemoveContent& change) {
    const std::string key = content_key(change.digest);
    if (const auto record = decode_content(get(databases_.content, key))) count(*record, -1);
    remove(databases_.content, key);
  }

  void operator()(const PutGrant& change) {
    put(databases_.grants, grant_key(change.digest, repository_id(change.scope), change.kind),
        encode(change.record));
  }

  void operator()(const RemoveGrant& change) {
    remove(databases_.grants, grant_key(change.digest, repository_id(change.scope), change.kind));
  }

  void operator()(const PutTag& change) {
    put(databases_.tags, tag_key(repository_id(change.scope), change.variant, change.tag),
        encode(change.record));
  }

  void operator()(const RemoveTag& change) {
    remove(databases_.tags, tag_key(repository_id(change.scope), change.variant, change.tag));
  }

  void operator()(const RevokeTag& change) {
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

  // Beside the index: see apply_to_small.
  void operator()(const PutSmall&) {}
  void operator()(const PutTagList&) {}
  void operator()(const RemoveTagLists&) {}

  Result<Totals> commit() {
    put(databases_.meta, "totals", encode(totals_));
    if (code_ == MDB_SUCCESS) code_ = mdb_txn_commit(transaction_.release());
    if (code_ != MDB_SUCCESS) return std::unexpected(lmdb_error(code_, "writing the index"));
    return totals_;
  }

 private:
  std::string_view get(MDB_dbi database, std::string_view key) {
    MDB_val k = to_val(key);
    MDB_val v{};
    const int code = mdb_get(transaction_.get(), database, &k, &v);
    if (code == MDB_SUCCESS) return to_view(v);
    if (code != MDB_NOTFOUND && code_ == MDB_SUCCESS) code_ = code;
    return {};
  }

  // The first failure sticks: the batch is then not committed.
  void put(MDB_dbi database, std::string_view key, std::string_view value) {
    if (code_ != MDB_SUCCESS) return;
    MDB_val k = to_val(key);
    MDB_val v = to_val(value);
    code_ = mdb_put(transaction_.get(), database, &k, &v, 0);
  }

  void remove(MDB_dbi database, std::string_view key) {
    if (code_ != MDB_SUCCESS) return;
    MDB_val k = to_val(key);
    const int code = mdb_del(transaction_.get(), database, &k, nullptr);
    if (code != MDB_NOTFOUND) code_ = code;
  }

  std::uint32_t id_of(MDB_dbi database, const std::string& key) {
    if (const auto known = decode_number(get(database, key))) return *known;
    const auto next = decode_number(get(databases_.meta, "next-id"));
    if (!next && code_ == MDB_SUCCESS) code_ = MDB_CORRUPTED;  // never guess: ids are part of grants
    const std::uint32_t id = next.value_or(0);
    put(databases_.meta, "next-id", encode_number(id + 1));
    put(database, key, encode_number(id));
    return id;
  }

  RegistryId registry_id(const oci::RegistryName& name) { return id_of(databases_.registries, name.str()); }
  RepositoryId repository_id(const Scope& scope) {
    return id_of(databases_.repositories,
                 repository_key(registry_id(scope.registry), scope.repository.str()));
  }

  void count(const ContentRecord& record, int sign) {
    const auto step = static_cast<std::uint64_t>(sign);
    totals_.bytes += step * record.size.count;
    (record.kind == ContentKind::kManifest ? totals_.manifests : totals_.blobs) += step;
  }

  const Databases& databases_;
  OwnedTransaction transaction_;
  Totals totals_;
  int code_ = MDB_SUCCESS;
};

/// The changes of one write transaction of the small environment: aborted unless committed.
class Index::SmallBatch {
 public:
  SmallBatch(MDB_dbi database, MDB_txn* transaction) : database_(database), transaction_(transaction) {}

  void operator()(const PutSmall& change) { put(content_key(change.digest), encode_bytes(change.bytes)); }
  void operator()(const RemoveContent& change) { remove(content_key(change.digest)); }
  void operator()(const PutTagList& change) {
    put(tag_list_key(tag_list_slot(change.record.page)), encode(change.record));
  }
  void operator()(const RemoveTagLists& change) {
    const std::string beginning = change.scope.to_string() + "?";
    for (unsigned slot = 0; slot < kTagListSlots; ++slot) {
      const std::string key = tag_list_key(slot);
      const auto value = get_from(transaction_.get(), database_, key);
      const auto record = value ? decode_tag_list(*value) : std::nullopt;
      if (record && record->page.starts_with(beginning)) remove(key);
    }
  }
  void operator()(const auto&) {}  // the index's own

  Result<void> commit() {
    if (code_ == MDB_SUCCESS) code_ = mdb_txn_commit(transaction_.release());
    if (code_ != MDB_SUCCESS) return std::unexpected(lmdb_error(code_, "writing the small environment"));
    return {};
  }

 private:
  void put(std::string_view key, std::string_view value) {
    if (code_ != MDB_SUCCESS) return;
    MDB_val k = to_val(key);
    MDB_val v = to_val(value);
    code_ = mdb_put(transaction_.get(), database_, &k, &v, 0);
  }
  void remove(std::string_view key) {
    if (code_ != MDB_SUCCESS) return;
    MDB_val k = to_val(key);
    const int code = mdb_del(transaction_.get(), database_, &k, nullptr);
    if (code != MDB_NOTFOUND) code_ = code;
  }

  MDB_dbi database_;
  OwnedTransaction transaction_;
  int code_ = MDB_SUCCESS;
};

Result<std::unique_ptr<Index>> Index::open(const std::string& directory, unsigned loops) {
  std::unique_ptr<Index> index(new Index());
  const unsigned readers = loops + 16;
  auto environment = open_environment(directory + "/index", readers);
  if (!environment) return std::unexpected(environment.error());
  index->environment_ = std::move(*environment);

  const std::string small_path = directory + "/small";
  auto small = index->open_small(small_path, readers);
  if (!small) {
    log_warning("the copy of small content is damaged and made anew: {}", small.error().describe());
    std::error_code ignored;
    std::filesystem::remove_all(small_path, ignored);
    small = index->open_small(small_path, readers);
  }
  if (!small) {
    // Not the index's fault, whatever the cause.
    return failure(ErrorCode::kIo, ErrorSource::kDisk, small.error().describe());
  }

  if (auto opened = index->open_databases(); !opened) return std::unexpected(opened.error());
  index->slots_.resize(loops);
  for (ReadSlot& slot : index->slots_) {
    auto transaction = begin(index->environment_.get(), MDB_RDONLY);
    if (!transaction) return std::unexpected(transaction.error());
    slot.index = *transaction;
    mdb_txn_reset(slot.index);
    transaction = begin(index->small_environment_.get(), MDB_RDONLY);
    if (!transaction) return std::unexpected(transaction.error());
    slot.small = *transaction;
    mdb_txn_reset(slot.small);
  }
  return index;
}

Index::~Index() {
  for (const ReadSlot& slot : slots_) {
    if (slot.index != nullptr) mdb_txn_abort(slot.index);
    if (slot.small != nullptr) mdb_txn_abort(slot.small);
  }
}

Result<void> Index::open_databases() {
  auto started = begin(environment_.get(), 0);
  if (!started) return std::unexpected(started.error());
  OwnedTransaction transaction(*started);
  int code = MDB_SUCCESS;
  const auto open_one = [&](const char* name, MDB_dbi& database) {
    if (code == MDB_SUCCESS) code = mdb_dbi_open(transaction.get(), name, MDB_CREATE, &database);
  };
  open_one("registries", databases_.registries);
  open_one("repositories", databases_.repositories);
  open_one("content", databases_.content);
  open_one("grants", databases_.grants);
  open_one("tags", databases_.tags);
  open_one("meta", databases_.meta);
  if (code != MDB_SUCCESS) return std::unexpected(lmdb_error(code, "opening the index"));

  auto checked = check_meta(transaction.get());
  if (!checked) return checked;
  code = mdb_txn_commit(transaction.release());
  if (code != MDB_SUCCESS) return std::unexpected(lmdb_error(code, "opening the index"));
  return {};
}

// A new index gets its layout and its first id; one that is there must have both, sound.
Result<void> Index::check_meta(MDB_txn* transaction) {
  const auto put = [&](std::string_view key, const std::string& value) {
    MDB_val k = to_val(key);
    MDB_val v = to_val(value);
    return mdb_put(transaction, databases_.meta, &k, &v, 0);
  };
  MDB_stat stat{};
  mdb_stat(transaction, databases_.meta, &stat);
  if (stat.ms_entries == 0) {
    int code = put("layout", encode_number(kIndexLayout));
    if (code == MDB_SUCCESS) code = put("next-id", encode_number(1));
    if (code == MDB_SUCCESS) code = put("totals", encode(Totals{}));
    if (code != MDB_SUCCESS) return std::unexpected(lmdb_error(code, "making the index"));
    return {};
  }
  const auto number = [&](std::string_view key) {
    return decode_number(get_from(transaction, databases_.meta, key).value_or(std::string_view{}));
  };
  if (number("layout") != kIndexLayout) {
    return failure(ErrorCode::kCorrupt, ErrorSource::kDisk,
                   "the index was written by another version of layover");
  }
  const auto totals =
      decode_totals(get_from(transaction, databases_.meta, "totals").value_or(std::string_view{}));
  if (!number("next-id") || !totals) {
    return failure(ErrorCode::kCorrupt, ErrorSource::kDisk, "the index lacks its counters");
  }
  totals_ = *totals;
  return {};
}

Result<void> Index::open_small(const std::string& path, unsigned readers) {
  auto environment = open_environment(path, readers);
  if (!environment) return std::unexpected(environment.error());
  auto started = begin(environment->get(), 0);
  if (!started) return std::unexpected(started.error());
  OwnedTransaction transaction(*started);
  int code = mdb_dbi_open(transaction.get(), nullptr, 0, &small_);
  if (code == MDB_SUCCESS) code = mdb_txn_commit(transaction.release());
  if (code != MDB_SUCCESS) return std::unexpected(lmdb_error(code, "opening the copy of small content"));
  small_environment_ = std::move(*environment);
  return {};
}

Index::Snapshot Index::snapshot(unsigned loop_index) {
  ReadSlot& slot = slots_.at(loop_index);
  for (MDB_txn* transaction : {slot.index, slot.small}) {
    const int code = mdb_txn_renew(transaction);
    if (code != MDB_SUCCESS) throw std::runtime_error(lmdb_error(code, "reading the index").message());
  }
  return {*this, slot};
}

Result<void> Index::apply(std::span<const Change> changes) {
  auto applied = apply_to_index(changes);
  if (applied) apply_to_small(changes);
  return applied;
}

Result<void> Index::apply_to_index(std::span<const Change> changes) {
  auto started = begin(environment_.get(), 0);
  if (!started) return std::unexpected(started.error());
  Batch batch(databases_, *started, totals());
  for (const Change& change : changes) std::visit(batch, change);
  auto committed = batch.commit();
  if (!committed) return std::unexpected(committed.error());
  const std::lock_guard lock(totals_mutex_);
  totals_ = *committed;
  return {};
}

// A failure here costs speed, not content: it is logged and forgotten.
void Index::apply_to_small(std::span<const Change> changes) {
  const bool has_any = std::ranges::any_of(changes, [](const Change& change) {
    return std::holds_alternative<PutSmall>(change) || std::holds_alternative<RemoveContent>(change) ||
           std::holds_alternative<PutTagList>(change) || std::holds_alternative<RemoveTagLists>(change);
  });
  if (!has_any) return;
  auto started = begin(small_environment_.get(), 0);
  Result<void> applied;
  if (started) {
    SmallBatch batch(small_, *started);
    for (const Change& change : changes) std::visit(batch, change);
    applied = batch.commit();
  } else {
    applied = std::unexpected(started.error());
  }
  if (!applied) log_warning("small content is not copied beside the index: {}", applied.error().describe());
}

bool Index::knows(const oci::Digest& digest) const {
  auto started = begin(environment_.get(), MDB_RDONLY);
  if (!started) return true;  // better to leave a file alone than to overwrite an entry
  const OwnedTransaction transaction(*started);
  const auto value = get_from(transaction.get(), databases_.content, content_key(digest));
  return value && decode_content(*value);
}

Totals Index::totals() const {
  const std::lock_guard lock(totals_mutex_);
  return totals_;
}

Bytes Index::used() const {
  MDB_envinfo info{};
  MDB_stat stat{};
  mdb_env_info(environment_.get(), &info);
  mdb_env_stat(environment_.get(), &stat);
  return Bytes{(info.me_last_pgno + 1) * stat.ms_psize};
}

Index::Snapshot::~Snapshot() {
  if (slot_ == nullptr) return;
  mdb_txn_reset(slot_->index);
  mdb_txn_reset(slot_->small);
}

std::optional<std::string_view> Index::Snapshot::get(MDB_dbi database, std::string_view key) const {
  return get_from(slot_->index, database, key);
}

std::optional<ContentRecord> Index::Snapshot::content(const oci::Digest& digest) const {
  const auto value = get(index_.databases_.content, content_key(digest));
  return value ? decode_content(*value) : std::nullopt;
}

std::optional<RegistryId> Index::Snapshot::registry(const oci::RegistryName& name) const {
  const auto value = get(index_.databases_.registries, name.str());
  return value ? decode_number(*value) : std::nullopt;
}

std::optional<RepositoryId> Index::Snapshot::repository(const Scope& scope) const {
  const auto registry_id = registry(scope.registry);
  if (!registry_id) return std::nullopt;
  const auto value =
      get(index_.databases_.repositories, repository_key(*registry_id, scope.repository.str()));
  return value ? decode_number(*value) : std::nullopt;
}

std::optional<GrantRecord> Index::Snapshot::grant(const Scope& scope, const oci::Digest& digest,
                                                  ContentKind kind) const {
  const auto id = repository(scope);
  if (!id) return std::nullopt;
  const auto value = get(index_.databases_.grants, grant_key(digest, *id, kind));
  return value ? decode_grant(*value) : std::nullopt;
}

std::optional<TagRecord> Index::Snapshot::tag(const Scope& scope, oci::AcceptVariant variant,
                                              const oci::Tag& tag) const {
  const auto id = repository(scope);
  if (!id) return std::nullopt;
  const auto value = get(index_.databases_.tags, tag_key(*id, variant, tag));
  return value ? decode_tag(*value) : std::nullopt;
}

bool Index::Snapshot::has_tag(const Scope& scope, const oci::Tag& tag) const {
  const auto id = repository(scope);
  if (!id) return false;
  for (unsigned bits = 0; bits <= UINT8_MAX; ++bits) {
    const auto variant = oci::AcceptVariant::from_bits(static_cast<std::uint8_t>(bits));
    if (get(index_.databases_.tags, tag_key(*id, variant, tag))) return true;
  }
  return false;
}

std::optional<TagListRecord> Index::Snapshot::tag_list(std::string_view page) const {
  const auto value = get_from(slot_->small, index_.small_, tag_list_key(tag_list_slot(page)));
  auto record = value ? decode_tag_list(*value) : std::nullopt;
  return record && record->page == page ? record : std::nullopt;
}

std::optional<std::string> Index::Snapshot::small(const oci::Digest& digest) const {
  const auto value = get_from(slot_->small, index_.small_, content_key(digest));
  return value ? decode_bytes(*value) : std::nullopt;
}

}  // namespace layover::cache
