// LMDB with MDB_NOTLS (a loop's read transaction is its own, whatever thread), durable commits, and an
// address space reserved once: the map never has to grow.
#include "cache/index.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <set>
#include <variant>

#include <fmt/format.h>

#include "base/log.h"
#include "cache/index_environment.h"
#include "cache/index_fault.h"
#include "cache/small_batch.h"

namespace layover::cache {

namespace {

/// Read transactions at once on the pool.
constexpr unsigned kPoolReaders = 16;

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
  auto index = std::make_unique<Index>(directory, loops);
  if (auto opened = index->reopen(); !opened) return std::unexpected(opened.error());
  return index;
}

Result<void> Index::reopen() {
  const std::unique_lock lock(environments_mutex_);
  for (ReadSlot& slot : slots_) slot.mutex.lock();
  close_locked();
  auto opened = open_locked();
  if (!opened) {
    close_locked();
    raise(IndexTrouble::kBroken);  // somebody has to try again
  }
  for (ReadSlot& slot : slots_) slot.mutex.unlock();
  return opened;
}

void Index::close() {
  const std::unique_lock lock(environments_mutex_);
  for (ReadSlot& slot : slots_) slot.mutex.lock();
  close_locked();
  for (ReadSlot& slot : slots_) slot.mutex.unlock();
}

void Index::note_change(bool is_removal) {
  if (is_removal) removals_.fetch_add(1, std::memory_order_release);
  version_.fetch_add(1, std::memory_order_release);
}

void Index::close_locked() {
  note_change(true);
  for (ReadSlot& slot : slots_) {
    if (slot.index != nullptr) mdb_txn_abort(std::exchange(slot.index, nullptr));
    if (slot.small != nullptr) mdb_txn_abort(std::exchange(slot.small, nullptr));
  }
  environment_.reset();
  small_environment_.reset();
}

Result<void> Index::open_locked() {
  const unsigned readers = static_cast<unsigned>(slots_.size()) + kPoolReaders;
  {
    const FaultNote note(index_marker_);
    auto environment = open_environment(directory_ + "/index", readers);
    if (!environment) return std::unexpected(environment.error());
    environment_ = std::move(*environment);
  }

  const std::string small_path = directory_ + "/small";
  std::error_code ignored;
  if (is_small_damaged_.exchange(false) || std::filesystem::exists(small_marker_, ignored)) {
    log_warning("the copy of small content is damaged and made anew");
    std::filesystem::remove_all(small_path, ignored);
    std::filesystem::remove(small_marker_, ignored);
  }
  auto small = open_small(small_path, readers);
  if (!small) {
    log_warning("the copy of small content is damaged and made anew: {}", small.error().describe());
    std::filesystem::remove_all(small_path, ignored);
    small = open_small(small_path, readers);
  }
  if (!small) {
    // Not the index's fault, whatever the cause.
    const ErrorCode code = small.error().code() == ErrorCode::kNoSpace ? ErrorCode::kNoSpace : ErrorCode::kIo;
    return failure(code, ErrorSource::kDisk, small.error().describe());
  }

  const FaultNote note(index_marker_);
  if (auto opened = open_databases(); !opened) return opened;
  if (auto opened = open_slots(); !opened) return opened;
  measure();
  note_change(true);
  trouble_.store(IndexTrouble::kNone, std::memory_order_relaxed);
  return {};
}

Result<void> Index::open_slots() {
  for (ReadSlot& slot : slots_) {
    auto transaction = begin_transaction(environment_.get(), MDB_RDONLY);
    if (!transaction) return std::unexpected(transaction.error());
    slot.index = *transaction;
    mdb_txn_reset(slot.index);
    transaction = begin_transaction(small_environment_.get(), MDB_RDONLY);
    if (!transaction) return std::unexpected(transaction.error());
    slot.small = *transaction;
    mdb_txn_reset(slot.small);
  }
  return {};
}

void Index::measure() {
  used_.store(used_by(environment_.get()).count, std::memory_order_relaxed);
  small_used_.store(used_by(small_environment_.get()).count, std::memory_order_relaxed);
  MDB_envinfo info{};
  mdb_env_info(environment_.get(), &info);
  last_transaction_.store(info.me_last_txnid, std::memory_order_relaxed);
}

void Index::note(int code) const {
  if (code == MDB_PANIC) raise(IndexTrouble::kBroken);
  if (is_damage(code)) raise(IndexTrouble::kDamaged);
}

void Index::note_small(int code) const {
  if (is_damage(code)) is_small_damaged_.store(true, std::memory_order_relaxed);
  if (code == MDB_PANIC || is_damage(code)) raise(IndexTrouble::kBroken);
}

void Index::raise(IndexTrouble trouble) const {
  IndexTrouble known = trouble_.load(std::memory_order_relaxed);
  while (known < trouble) {
    if (!trouble_.compare_exchange_weak(known, trouble, std::memory_order_relaxed)) continue;
    troubled_->notify();
    return;
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
    const std::lock_guard lock(totals_mutex_);
    totals_ = {};
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
  const std::lock_guard lock(totals_mutex_);
  totals_ = *totals;
  return {};
}

Result<void> Index::open_small(const std::string& path, unsigned readers) {
  const FaultNote note(small_marker_);
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
  slot.mutex.lock();
  slot.is_readable = slot.is_small_readable = slot.index != nullptr;
  if (slot.is_readable) {
    const int code = mdb_txn_renew(slot.index);
    slot.is_readable = code == MDB_SUCCESS;
    note(code);
    const int small_code = mdb_txn_renew(slot.small);
    slot.is_small_readable = small_code == MDB_SUCCESS;
    note_small(small_code);
  }
  return {*this, slot};
}

Result<void> Index::apply(std::span<const Change> changes) {
  const std::shared_lock lock(environments_mutex_);
  if (!environment_)
    return failure(ErrorCode::kIo, ErrorSource::kDisk, "the index is closed after a failure");
  auto applied = apply_to_index(changes);
  if (applied) apply_to_small(changes);
  note_change(std::ranges::any_of(
      changes, [](const Change& change) { return std::holds_alternative<RemoveContent>(change); }));
  measure();
  return applied;
}

Result<void> Index::apply_to_index(std::span<const Change> changes) {
  const FaultNote fault(index_marker_);
  MDB_txn* started = nullptr;
  const int code = mdb_txn_begin(environment_.get(), nullptr, 0, &started);
  note(code);
  if (code != MDB_SUCCESS) return std::unexpected(lmdb_error(code, "starting an index transaction"));
  IndexBatch batch(databases_, started, totals());
  for (const Change& change : changes) std::visit(batch, change);
  auto committed = batch.commit();
  note(batch.code());
  if (!committed) return std::unexpected(committed.error());
  const std::lock_guard lock(totals_mutex_);
  totals_ = *committed;
  return {};
}

// A failure here costs speed, not content: it is logged and forgotten.
void Index::apply_to_small(std::span<const Change> changes) {
  if (std::ranges::none_of(changes, SmallBatch::concerns)) return;
  const FaultNote fault(small_marker_);
  MDB_txn* started = nullptr;
  int code = mdb_txn_begin(small_environment_.get(), nullptr, 0, &started);
  if (code == MDB_SUCCESS) {
    SmallBatch batch(small_, started);
    for (const Change& change : changes) std::visit(batch, change);
    auto committed = batch.commit();
    code = committed ? MDB_SUCCESS : batch.code();
  }
  note_small(code);
  if (code == MDB_SUCCESS) return;
  log_warning("small content is not copied beside the index: {}",
              lmdb_error(code, "writing beside the index").describe());
}

// While the index cannot be read, nobody is to act on what it does not say.
Result<OwnedTransaction> Index::begin_reading() const {
  if (!environment_)
    return failure(ErrorCode::kIo, ErrorSource::kDisk, "the index is closed after a failure");
  MDB_txn* started = nullptr;
  const int code = mdb_txn_begin(environment_.get(), nullptr, MDB_RDONLY, &started);
  note(code);
  if (code != MDB_SUCCESS) return std::unexpected(lmdb_error(code, "reading the index"));
  return OwnedTransaction(started);
}

bool Index::knows(const oci::Digest& digest) const {
  const std::shared_lock lock(environments_mutex_);
  const FaultNote fault(index_marker_);
  const auto transaction = begin_reading();
  if (!transaction) return true;  // better to leave a file alone than to overwrite an entry
  std::string_view value;
  const int code = read_from(transaction->get(), databases_.content, content_key(digest), value);
  note(code);
  if (code == MDB_NOTFOUND) return false;
  return code != MDB_SUCCESS || decode_content(value);
}

std::optional<ContentRecord> Index::find(const oci::Digest& digest) const {
  const std::shared_lock lock(environments_mutex_);
  const FaultNote fault(index_marker_);
  const auto transaction = begin_reading();
  if (!transaction) return std::nullopt;
  std::string_view value;
  const int code = read_from(transaction->get(), databases_.content, content_key(digest), value);
  note(code);
  return code == MDB_SUCCESS ? decode_content(value) : std::nullopt;
}

std::vector<ContentEntry> Index::sample(std::size_t draws, Random& random) const {
  std::vector<ContentEntry> found;
  const std::shared_lock lock(environments_mutex_);
  const FaultNote fault(index_marker_);
  const auto transaction = begin_reading();
  if (!transaction) return found;
  MDB_cursor* opened = nullptr;
  if (mdb_cursor_open(transaction->get(), databases_.content, &opened) != MDB_SUCCESS) return found;
  const std::unique_ptr<MDB_cursor, decltype(&mdb_cursor_close)> cursor(opened, &mdb_cursor_close);
  MDB_stat stat{};
  mdb_stat(transaction->get(), databases_.content, &stat);
  const bool takes_all = stat.ms_entries <= draws;
  std::set<oci::Digest> seen;
  for (std::size_t i = 0; i < (takes_all ? stat.ms_entries : draws); ++i) {
    const std::string near = random_content_key(random);
    MDB_val k = to_val(near);
    MDB_val v{};
    int code = mdb_cursor_get(cursor.get(), &k, &v, takes_all ? MDB_NEXT : MDB_SET_RANGE);
    if (code == MDB_NOTFOUND && !takes_all) code = mdb_cursor_get(cursor.get(), &k, &v, MDB_FIRST);
    note(code);
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

}  // namespace layover::cache
