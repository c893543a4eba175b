// The index: what is stored, which tags are known, and who may read what, in LMDB. Reads are snapshots
// on the loops; writes are batches of changes on the offload pool, by one writer.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/random.h"
#include "cache/index_batch.h"
#include "cache/index_changes.h"
#include "cache/index_records.h"
#include "cache/lmdb_support.h"
#include "cache/scope.h"
#include "net/signal.h"

namespace layover::cache {

/// A content and its record.
struct ContentEntry {
  oci::Digest digest;
  ContentRecord record;
};

/// What has been found wrong with an open index, from bad to worse.
enum class IndexTrouble : std::uint8_t {
  kNone,
  kBroken,   // LMDB refuses to go on after a failed write: opening it again helps
  kDamaged,  // its pages cannot be followed: another one has to take its place
};

/// Where a walk through all records is: see Index::check_some.
struct IndexWalk {
  unsigned database = 0;
  std::string next;  // the key to go on at, or after
  std::uint64_t records = 0;
  std::uint64_t unsound = 0;  // of them: they count as absent
};

class Index {
 public:
  /// Closed. The environments are `<directory>/index` and `<directory>/small`, for `loops` loops that read.
  Index(std::string directory, unsigned loops) : directory_(std::move(directory)), slots_(loops) {}
  Index(const Index&) = delete;
  Index& operator=(const Index&) = delete;
  ~Index() { close(); }

  /// An open one, for tests and tools; errors as with reopen().
  static Result<std::unique_ptr<Index>> open(const std::string& directory, unsigned loops);

  /// Opens or makes the environments, after closing them where they are open. kCorrupt where the index
  /// cannot be read (the small one is then simply made anew). Blocks, and makes the loops wait: start-up, or
  /// pool after trouble.
  Result<void> reopen();
  /// From now on nothing is found and nothing can be written. In the same way.
  void close();

  /// Thread-safe.
  IndexTrouble trouble() const { return trouble_.load(std::memory_order_relaxed); }
  /// Told when trouble comes up.
  const std::shared_ptr<net::Signal>& troubled() const { return troubled_; }
  /// A fault of the process while it uses the index leaves this file.
  const std::string& suspect_marker() const { return index_marker_; }

  class Snapshot;
  /// A consistent view for a loop's thread, one at a time per loop, never held across a suspension; while one
  /// lives, its thread calls nothing else of the index. While the index cannot be read it shows an empty one.
  Snapshot snapshot(unsigned loop_index);

  /// Applies all changes in one durable transaction, or none. Blocks: pool only, one call at a time
  /// (Work::kIndex).
  Result<void> apply(std::span<const Change> changes);

  /// Whether there is an entry. Takes a read transaction of its own: pool only. Thread-safe.
  bool knows(const oci::Digest& digest) const;
  /// The entry, in the same way; nothing also where it cannot be read.
  std::optional<ContentRecord> find(const oci::Digest& digest) const;
  /// The entries next to `draws` random digests, each once; all entries where there are not more than
  /// that. Digests are spread evenly, so every entry has its chance. Takes a read transaction of its own:
  /// pool only. Thread-safe.
  std::vector<ContentEntry> sample(std::size_t draws, Random& random) const;
  /// Reads the next some thousand records, for a walk through all of them. Gives whether there are more;
  /// kCorrupt where LMDB cannot follow its pages, which is trouble too. Pool only. Thread-safe.
  Result<bool> check_some(IndexWalk& walk) const;
  /// Writes a compact copy of the index to a new file. In the same way.
  Result<void> copy_to(int fd) const;
  /// Changes with each transaction. Thread-safe.
  std::uint64_t last_transaction() const { return last_transaction_.load(std::memory_order_relaxed); }
  /// Changes once anything that a snapshot shows has been written, before who has written it is told.
  /// Thread-safe.
  std::uint64_t version() const { return version_.load(std::memory_order_acquire); }
  /// How often entries of content have been removed, or all of them: see version().
  std::uint64_t removals() const { return removals_.load(std::memory_order_acquire); }
  /// Thread-safe.
  Totals totals() const;
  /// Bytes of the index's file in use. Thread-safe.
  Bytes used() const { return Bytes{used_.load(std::memory_order_relaxed)}; }
  /// The same with the copy of small content. Thread-safe.
  Bytes used_with_small() const { return Bytes{used().count + small_used_.load(std::memory_order_relaxed)}; }

 private:
  /// A loop's reset read transaction of each environment, renewed for each snapshot; none while closed.
  struct ReadSlot {
    std::mutex mutex;  // held by its snapshot, and by who closes and opens
    MDB_txn* index = nullptr;
    MDB_txn* small = nullptr;
    bool is_readable = false;
    bool is_small_readable = false;
  };

  void note_change(bool is_removal);
  void close_locked();
  Result<void> open_locked();
  Result<void> open_slots();
  void measure();
  /// For what LMDB says, of which environment.
  void note(int code) const;
  void note_small(int code) const;
  void raise(IndexTrouble trouble) const;
  Result<OwnedTransaction> begin_reading() const;
  Result<void> open_databases();
  Result<void> check_meta(MDB_txn* transaction);
  Result<void> open_small(const std::string& path, unsigned readers);
  Result<void> apply_to_index(std::span<const Change> changes);
  void apply_to_small(std::span<const Change> changes);

  const std::string directory_;
  const std::string index_marker_ = directory_ + "/index.suspect";
  const std::string small_marker_ = directory_ + "/small.suspect";
  mutable std::atomic<IndexTrouble> trouble_{IndexTrouble::kNone};
  mutable std::atomic<bool> is_small_damaged_{false};
  const std::shared_ptr<net::Signal> troubled_ = std::make_shared<net::Signal>();

  /// Shared by who uses the environments on the pool, exclusive for who closes and opens them; before any
  /// slot's.
  mutable std::shared_mutex environments_mutex_;
  EnvironmentPointer environment_;
  EnvironmentPointer small_environment_;
  IndexDatabases databases_;
  MDB_dbi small_ = 0;
  std::vector<ReadSlot> slots_;
  std::atomic<std::uint64_t> used_{0};
  std::atomic<std::uint64_t> small_used_{0};
  std::atomic<std::uint64_t> last_transaction_{0};
  std::atomic<std::uint64_t> version_{0};
  std::atomic<std::uint64_t> removals_{0};
  mutable std::mutex totals_mutex_;
  Totals totals_;
};

class Index::Snapshot {
 public:
  Snapshot(Snapshot&& other) noexcept : index_(other.index_), slot_(std::exchange(other.slot_, nullptr)) {}
  Snapshot& operator=(Snapshot&&) = delete;
  ~Snapshot();

  std::optional<ContentRecord> content(const oci::Digest& digest) const;
  std::optional<RegistryId> registry(const oci::RegistryName& name) const;
  std::optional<RepositoryId> repository(const Scope& scope) const;
  std::optional<GrantRecord> grant(const Scope& scope, const oci::Digest& digest, ContentKind kind) const;
  std::optional<TagRecord> tag(const Scope& scope, oci::AcceptVariant variant, const oci::Tag& tag) const;
  /// Whether the tag is recorded in any variant.
  bool has_tag(const Scope& scope, const oci::Tag& tag) const;
  std::optional<std::string> small(const oci::Digest& digest) const;
  /// `page` as in TagListRecord.
  std::optional<TagListRecord> tag_list(std::string_view page) const;

 private:
  friend class Index;
  Snapshot(const Index& index, ReadSlot& slot) : index_(index), slot_(&slot) {}
  std::optional<std::string_view> get(MDB_dbi database, std::string_view key) const;
  std::optional<std::string_view> get_small(std::string_view key) const;

  const Index& index_;
  ReadSlot* slot_;  // null once moved from
};

}  // namespace layover::cache
