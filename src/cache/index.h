// The index: what is stored, which tags are known, and who may read what, in LMDB. Reads are snapshots
// on the loops; writes are batches of changes on the offload pool, by one writer.
#pragma once

#include <lmdb.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"
#include "cache/index_records.h"
#include "cache/scope.h"

namespace layover::cache {

/// Adds or completes a content's record: an origin is added to those known, the size replaced.
struct PutContent {
  oci::Digest digest;
  ContentKind kind;
  Bytes size;
  WallTime now;
  std::vector<oci::RegistryName> origins;
};
struct RemoveContent {
  oci::Digest digest;
};
struct PutGrant {
  Scope scope;
  oci::Digest digest;
  ContentKind kind;
  GrantRecord record;
};
struct RemoveGrant {
  Scope scope;
  oci::Digest digest;
  ContentKind kind;
};
struct PutTag {
  Scope scope;
  oci::AcceptVariant variant;
  oci::Tag tag;
  TagRecord record;
};
struct RemoveTag {
  Scope scope;
  oci::AcceptVariant variant;
  oci::Tag tag;
};
/// Removes a tag in all its variants, and the grants of the manifests that they lead to.
struct RevokeTag {
  Scope scope;
  oci::Tag tag;
};
/// A copy of small content beside the index, so that serving it touches no file.
struct PutSmall {
  oci::Digest digest;
  std::string bytes;
};
/// A page of tags beside the index, for the next outage.
struct PutTagList {
  TagListRecord record;
};
/// Removes all pages of a repository.
struct RemoveTagLists {
  Scope scope;
};
using Change = std::variant<PutContent, RemoveContent, PutGrant, RemoveGrant, PutTag, RemoveTag, RevokeTag,
                            PutSmall, PutTagList, RemoveTagLists>;

/// One LMDB environment, closed by its end.
struct CloseEnvironment {
  void operator()(MDB_env* environment) const { mdb_env_close(environment); }
};
using EnvironmentPointer = std::unique_ptr<MDB_env, CloseEnvironment>;

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
  /// Thread-safe.
  Totals totals() const;
  /// Bytes of the index's file in use.
  Bytes used() const;

 private:
  struct Databases {
    MDB_dbi registries = 0;
    MDB_dbi repositories = 0;
    MDB_dbi content = 0;
    MDB_dbi grants = 0;
    MDB_dbi tags = 0;
    MDB_dbi meta = 0;
  };
  /// A reset read transaction of each environment, renewed for each snapshot.
  struct ReadSlot {
    MDB_txn* index = nullptr;
    MDB_txn* small = nullptr;
  };
  class Batch;
  class SmallBatch;

  Index() = default;
  Result<void> open_databases();
  Result<void> check_meta(MDB_txn* transaction);
  Result<void> open_small(const std::string& path, unsigned readers);
  Result<void> apply_to_index(std::span<const Change> changes);
  void apply_to_small(std::span<const Change> changes);

  EnvironmentPointer environment_;
  EnvironmentPointer small_environment_;
  Databases databases_;
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
