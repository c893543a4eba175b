// LMDB with MDB_NOTLS (a loop's read transaction is its own, whatever thread), durable commits, and an
// address space reserved once: the map never has to grow.
#include "cache/index.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <set>
#include <stdexcept>

#include <fmt/format.h>

#include "base/log.h"
#include "cache/small_batch.h"

namespace layover::cache {

namespace {

constexpr std::size_t kMapBytes = std::size_t{64} << 30;
constexpr std::size_t kLeastMapBytes = std::size_t{1} << 30;
constexpr unsigned kDatabases = 8;

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

Bytes used_by(MDB_env* environment) {
  MDB_envinfo info{};
  MDB_stat stat{};
  mdb_env_info(environment, &info);
  mdb_env_stat(environment, &stat);
  return Bytes{(info.me_last_pgno + 1) * stat.ms_psize};
}

std::optional<ContentEntry> entry_of(const MDB_val& key, const MDB_val& value) {
  const auto digest = digest_of_key(to_view(key));
  auto record = decode_content(to_view(value));
  if (!digest || !record) return std::nullopt;
  return ContentEntry{.digest = *digest, .record = std::move(*record)};
}

/// A content key as it could be. One in eight is a sha512: next to it lies a sha512, where there is any.
std::string random_content_key(Random& random) {
  const auto algorithm = random.next() % 8 == 0 ? oci::Algorithm::kSha512 : oci::Algorithm::kSha256;
  std::string key(1, static_cast<char>(algorithm));
  for (int i = 0; i < 2; ++i) {
    const std::uint64_t part = random.next();
    key.append(reinterpret_cast<const char*>(&part), sizeof part);
  }
  return key;
}

}  // namespace

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
    auto transaction = begin_transaction(index->environment_.get(), MDB_RDONLY);
    if (!transaction) return std::unexpected(transaction.error());
    slot.index = *transaction;
    mdb_txn_reset(slot.index);
    transaction = begin_transaction(index->small_environment_.get(), MDB_RDONLY);
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
  auto started = begin_transaction(environment_.get(), 0);
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
  auto started = begin_transaction(environment->get(), 0);
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
  auto started = begin_transaction(environment_.get(), 0);
  if (!started) return std::unexpected(started.error());
  IndexBatch batch(databases_, *started, totals());
  for (const Change& change : changes) std::visit(batch, change);
  auto committed = batch.commit();
  if (!committed) return std::unexpected(committed.error());
  const std::lock_guard lock(totals_mutex_);
  totals_ = *committed;
  return {};
}

// A failure here costs speed, not content: it is logged and forgotten.
void Index::apply_to_small(std::span<const Change> changes) {
  if (std::ranges::none_of(changes, SmallBatch::concerns)) return;
  auto started = begin_transaction(small_environment_.get(), 0);
  if (!started) {
    log_warning("small content is not copied beside the index: {}", started.error().describe());
    return;
  }
  SmallBatch batch(small_, *started);
  for (const Change& change : changes) std::visit(batch, change);
  auto applied = batch.commit();
  if (!applied) log_warning("small content is not copied beside the index: {}", applied.error().describe());
}

bool Index::knows(const oci::Digest& digest) const {
  auto started = begin_transaction(environment_.get(), MDB_RDONLY);
  if (!started) return true;  // better to leave a file alone than to overwrite an entry
  const OwnedTransaction transaction(*started);
  const auto value = get_from(transaction.get(), databases_.content, content_key(digest));
  return value && decode_content(*value);
}

std::optional<ContentRecord> Index::find(const oci::Digest& digest) const {
  auto started = begin_transaction(environment_.get(), MDB_RDONLY);
  if (!started) return std::nullopt;
  const OwnedTransaction transaction(*started);
  const auto value = get_from(transaction.get(), databases_.content, content_key(digest));
  return value ? decode_content(*value) : std::nullopt;
}

std::vector<ContentEntry> Index::sample(std::size_t draws, Random& random) const {
  std::vector<ContentEntry> found;
  auto started = begin_transaction(environment_.get(), MDB_RDONLY);
  if (!started) return found;
  const OwnedTransaction transaction(*started);
  MDB_cursor* opened = nullptr;
  if (mdb_cursor_open(transaction.get(), databases_.content, &opened) != MDB_SUCCESS) return found;
  const std::unique_ptr<MDB_cursor, decltype(&mdb_cursor_close)> cursor(opened, &mdb_cursor_close);
  MDB_stat stat{};
  mdb_stat(transaction.get(), databases_.content, &stat);
  const bool takes_all = stat.ms_entries <= draws;
  std::set<oci::Digest> seen;
  for (std::size_t i = 0; i < (takes_all ? stat.ms_entries : draws); ++i) {
    const std::string near = random_content_key(random);
    MDB_val k = to_val(near);
    MDB_val v{};
    int code = mdb_cursor_get(cursor.get(), &k, &v, takes_all ? MDB_NEXT : MDB_SET_RANGE);
    if (code == MDB_NOTFOUND && !takes_all) code = mdb_cursor_get(cursor.get(), &k, &v, MDB_FIRST);
    if (code != MDB_SUCCESS) break;
    auto entry = entry_of(k, v);
    if (entry && seen.insert(entry->digest).second) found.push_back(std::move(*entry));
  }
  return found;
}

Totals Index::totals() const {
  const std::lock_guard lock(totals_mutex_);
  return totals_;
}

Bytes Index::used() const { return used_by(environment_.get()); }

Bytes Index::used_with_small() const {
  return Bytes{used_by(environment_.get()).count + used_by(small_environment_.get()).count};
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
