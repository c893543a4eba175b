// How far one download has come: the half of a fill that its readers on all loops share. Nothing here
// is bound to a loop; the other half, FillRun, does the work and publishes here.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/unique_fd.h"
#include "cache/extents.h"
#include "cache/hasher.h"
#include "cache/index.h"
#include "cache/index_records.h"
#include "cache/prefetch.h"
#include "cache/scope.h"
#include "net/signal.h"

namespace layover::cache {

/// Blobs up to this size are verified before their clients are told anything, so that a wrong one is a clean
/// error. So are all manifests.
inline constexpr Bytes kVerifiedFirst = 64_KiB;

/// One download per registry and digest.
struct FillKey {
  oci::RegistryName registry;
  oci::Digest digest;

  friend bool operator==(const FillKey&, const FillKey&) = default;
};

/// What came under this key has the digest `found`.
Error wrong_digest(const FillKey& key, const oci::Digest& found);

struct FillKeyHash {
  std::size_t operator()(const FillKey& key) const noexcept {
    return std::hash<oci::Digest>{}(key.digest) ^ (std::hash<std::string>{}(key.registry.str()) << 1);
  }
};

/// How far a fill had come when it turned out that the disk cannot take the rest: its readers have what is
/// in the file, and go on by themselves. Immutable.
struct UncachedEnd {
  Error reason;
  Extents in_file;
  std::uint64_t hashed = 0;  // bytes from the start, all of them in the file
  Hasher hasher;             // of those
};

/// What a reader sees of a fill at one moment.
struct FillView {
  bool has_head = false;      // upstream has answered
  std::optional<Bytes> size;  // nothing while upstream does not say; known in any case once verified
  bool is_verified = false;
  std::optional<Error> failure;
  std::shared_ptr<const UncachedEnd> uncached;  // null unless the fill has ended so
  int fd = -1;                                  // open as long as the FillState lives
};

/// Shared (shared_ptr) by the run and its readers on any loop; thread-safe; may die on any thread.
class FillState {
 public:
  /// `leader` is the scope under which the download was started, as content of `kind`. A prefetch admits
  /// nobody by itself.
  FillState(FillKey key, Scope leader, ContentKind kind, std::shared_ptr<Prefetch> prefetch = nullptr);

  const FillKey& key() const { return key_; }
  const Scope& leader() const { return leader_; }
  ContentKind kind() const { return kind_; }
  /// Null where a client's request has started it.
  Prefetch* prefetch() const { return prefetch_.get(); }
  /// No client has asked for it yet.
  bool is_unasked() const { return prefetch_ && !prefetch_->is_asked(); }

  FillView view() const;
  /// How far the content may be sent from `offset` on: as far as its bytes are there, but for the last of all
  /// until the digest is verified. `offset` itself where there is nothing to send.
  std::uint64_t readable_end(std::uint64_t offset) const;
  /// The Content-Type that upstream sent; empty before its answer.
  std::string media_type() const;
  /// Told at every change of the view, and when a reader leaves.
  net::Signal& progress() { return *progress_; }

  // By the run.
  void publish_head(std::optional<Bytes> size, std::string media_type);
  void publish_file(UniqueFd fd);
  /// These bytes are in the file, and never change again.
  void publish_written(std::span<const ByteRange> ranges);
  void publish_verified(Bytes size);
  void publish_failure(Error error);
  /// The file takes no more. Comes before the head where that is known by then.
  void publish_uncached(UncachedEnd end);
  /// No more admissions: gives all scopes that were admitted. Called once, for the commit.
  std::set<std::pair<Scope, ContentKind>> close_admissions();
  /// The tags to record with the commit.
  std::vector<PutTag> tags() const;

  /// Notes that upstream allows `scope` to read this content; false where the fill takes no more (the
  /// grant is then to be written by the caller).
  bool admit(const Scope& scope, ContentKind kind);
  /// True where the download that `scope` asked for, or a HEAD, has proved that it may read it. The leader
  /// counts from the start, but for a prefetch's: whether upstream allows it shows before any byte is
  /// published.
  bool is_admitted(const Scope& scope, ContentKind kind) const;

  /// A tag that leads to this content: recorded in the same step as the content itself. Too late for that
  /// once the commit is under way; the tag's next look-up then records it.
  void record_when_stored(PutTag tag);

  /// A reader waits for the byte at `offset`, as long as this lives; nothing where that is a little after
  /// bytes that are there, since it comes in its turn.
  class Want;
  std::optional<Want> want(std::uint64_t offset);
  /// What readers wait for out of turn, in order.
  std::vector<std::uint64_t> wants() const;
  /// Told when there is more of that.
  net::Signal& wanted() { return *wanted_; }
  /// Told when the last reader leaves.
  net::Signal& abandoned() { return *abandoned_; }

  bool has_readers() const;
  /// False, and it is not counted, where the fill has been given up: it ends in a moment.
  bool add_reader();
  void remove_reader();
  /// Gives the fill up, unless it has a reader: nobody becomes one from then on.
  bool give_up();
  /// What is in the file.
  std::vector<ByteRange> written() const;

 private:
  const FillKey key_;
  const Scope leader_;
  const ContentKind kind_;
  const std::shared_ptr<Prefetch> prefetch_;
  const std::shared_ptr<net::Signal> progress_;
  const std::shared_ptr<net::Signal> wanted_ = std::make_shared<net::Signal>();
  const std::shared_ptr<net::Signal> abandoned_ = std::make_shared<net::Signal>();

  mutable std::mutex mutex_;
  FillView view_;
  Extents written_;
  std::multiset<std::uint64_t> wants_;
  std::string media_type_;
  UniqueFd file_;
  std::set<std::pair<Scope, ContentKind>> admitted_;
  std::vector<PutTag> tags_;
  bool are_admissions_open_ = true;
  unsigned readers_ = 0;
  bool is_given_up_ = false;
};

class FillState::Want {
 public:
  Want(FillState& fill, std::uint64_t offset) : fill_(&fill), offset_(offset) {}
  Want(Want&& other) noexcept : fill_(std::exchange(other.fill_, nullptr)), offset_(other.offset_) {}
  Want& operator=(Want&&) = delete;
  ~Want();

 private:
  FillState* fill_;  // null once moved from
  std::uint64_t offset_;
};

}  // namespace layover::cache
