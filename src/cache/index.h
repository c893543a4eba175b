// The index: what is stored, which tags are known, and who may read what, in LMDB. Reads are snapshots
// on the loops; writes are batches of changes on the offload pool, by one writer.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
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

namespace layover::cache {

/// A content and its record.
struct ContentEntry {
  oci::Digest digest;
  ContentRecord record;
};

class Index {
 public:
  /// Opens or makes the environments `<directory>/index` and `<directory>/small`, for `loops` loops
  /// that read. kCorrupt where the index cannot be read (the small one is then simply made anew).
  static Result<std::unique_ptr<Index>> open(const std::string& directory, unsigned loops);
  ~Index();

  class Snapshot;
  /// A consistent view for a loop's thread, one at a time per loop, never held across a suspension. Throws
  /// where the environment has failed for good.
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
  /// Thread-safe.
  Totals totals() const;
  /// Bytes of the index's file in use. Thread-safe.
  Bytes used() const;
  /// The same with the copy of small content. Thread-safe.
  Bytes used_with_small() const;

 private:
  /// A reset read transaction of each environment, renewed for each snapshot.
  struct ReadSlot {
    MDB_txn* index = nullptr;
    MDB_txn* small = nullptr;
  };

  Index() = default;
  Result<void> open_databases();
  Result<void> check_meta(MDB_txn* transaction);
  Result<void> open_small(const std::string& path, unsigned readers);
  Result<void> apply_to_index(std::span<const Change> changes);
  void apply_to_small(std::span<const Change> changes);

  EnvironmentPointer environment_;
  EnvironmentPointer small_environment_;
  IndexDatabases databases_;
  MDB_dbi small_ = 0;
  std::vector<ReadSlot> slots_;
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

  const Index& index_;
  ReadSlot* slot_;  // null once moved from
};

}  // namespace layover::cache
