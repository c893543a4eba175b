// The content store as the rest of the house sees it: open content under a scope, and it is served from
// the disk, joined while it is being downloaded, or downloaded. Access is decided here: content is given
// out only by a grant, a HEAD upstream, or the very download that is asked for.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "cache/committer.h"
#include "cache/directory.h"
#include "cache/disk_budget.h"
#include "cache/fill_run.h"
#include "cache/fill_state.h"
#include "cache/index.h"
#include "cache/index_ballast.h"
#include "cache/index_writer.h"
#include "cache/left_overs.h"
#include "cache/open_files.h"
#include "cache/prefetch.h"
#include "cache/reader.h"
#include "cache/recent_look_ups.h"
#include "cache/source.h"
#include "cache/store_health.h"
#include "cache/touches.h"
#include "config/settings.h"
#include "metrics/metrics.h"
#include "net/expiring_table.h"
#include "net/keyed_table.h"
#include "net/single_flight.h"
#include "net/task.h"
#include "net/task_group.h"

namespace layover::cache {

/// Who wants what.
struct ContentRequest {
  Scope scope;
  oci::Digest digest;
  ContentKind kind;
  const config::Times* times;  // the registry's, which outlives the request
  unsigned streams = 1;        // that a download may use at once
  /// Makes the source: called only where upstream has to be asked, so that a hit does without. Stays
  /// callable as long as the request's task.
  std::function<std::shared_ptr<Source>()> source;
  /// The tag that led here: recorded once the content is stored, never before.
  std::optional<PutTag> tag;
};

struct Opened {
  metrics::CacheResult how;
  std::string media_type;               // as upstream sent it
  std::shared_ptr<const Stored> small;  // where its bytes() are there: the content
  std::optional<Reader> reader;         // otherwise
};

struct Described {
  metrics::CacheResult how;
  std::string media_type;
  std::optional<Bytes> size;
};

struct CacheOptions {
  std::string path;
  unsigned loops = 1;
  bool complete_abandoned = true;
  SpaceLimits space = {};
  /// For how long last uses are collected before they are written.
  std::chrono::milliseconds touch_interval = std::chrono::seconds(5);
  /// How old the copy of the index may get.
  std::chrono::seconds copy_interval = std::chrono::hours(1);
};

/// Downloads that go on after their last reader has left: clients that ask and leave must not make layover
/// fetch without bound.
inline constexpr unsigned kMostAbandoned = 64;

/// What all loops share. Outlives every LoopCache and every offloaded job.
class Cache {
 public:
  /// Takes the directory's lock and opens the index; a damaged one is set aside. Blocks: start-up only.
  static Result<std::unique_ptr<Cache>> open(FileSystem& files, const Clock& clock, metrics::Metrics& metrics,
                                             CacheOptions options);

  Index& index() { return *index_; }
  IndexWriter& writer() { return writer_; }
  const Directory& directory() const { return *directory_; }
  DiskBudget& budget() { return budget_; }
  LeftOvers& left_overs() { return left_overs_; }
  Ballast& ballast() { return *ballast_; }
  std::chrono::seconds copy_interval() const { return options_.copy_interval; }
  const Clock& clock() const { return clock_; }
  /// For downloads that begin from now on.
  void set_complete_abandoned(bool is_wanted) {
    complete_abandoned_.store(is_wanted, std::memory_order_relaxed);
  }
  /// Bytes a second that the scrub may read; 0: it waits.
  Bytes scrub_rate() const { return Bytes{scrub_rate_.load(std::memory_order_relaxed)}; }
  void set_scrub_rate(Bytes per_second) { scrub_rate_.store(per_second.count, std::memory_order_relaxed); }
  void count_evicted(std::size_t objects, Bytes bytes);
  /// A stored content was found wrong.
  void count_damaged() { metrics_.damaged_objects().add(); }

 private:
  friend class LoopCache;

  /// A registry that sent wrong bytes for a digest is not asked for it again until then.
  struct Distrust {
    Deadline until;
    std::chrono::seconds pause;
  };

  /// A question upstream whether a scope may read content.
  struct Question {
    Scope scope;
    oci::Digest digest;
    ContentKind kind;
    Fallback fallback;

    friend bool operator==(const Question&, const Question&) = default;
  };
  struct QuestionHash {
    std::size_t operator()(const Question& question) const noexcept {
      return std::hash<oci::Digest>{}(question.digest);
    }
  };
  static constexpr std::size_t kUnaskedLimit = 4096;
  using Questions = net::SingleFlight<Question, SourceHead, QuestionHash>;

  /// Tags whose content has not been asked for yet.
  struct PendingTags {
    std::vector<PutTag> tags;
    Deadline until;
  };

  Cache(std::unique_ptr<Directory> directory, std::unique_ptr<Ballast> ballast, std::unique_ptr<Index> index,
        const Clock& clock, metrics::Metrics& metrics, CacheOptions options);

  std::unique_ptr<Directory> directory_;
  std::unique_ptr<Ballast> ballast_;
  std::unique_ptr<Index> index_;
  IndexWriter writer_;
  const Clock& clock_;
  metrics::Metrics& metrics_;
  const CacheOptions options_;
  std::atomic<bool> complete_abandoned_{options_.complete_abandoned};
  std::atomic<std::uint64_t> scrub_rate_{0};
  DiskBudget budget_;
  Committer committer_;
  LeftOvers left_overs_;
  ExtraStreams extra_streams_;
  DownloadSlots prefetch_slots_{Prefetch::kMostAtOnce};
  DownloadSlots abandoned_slots_{kMostAbandoned};
  StoreHealth store_health_;
  net::KeyedTable<FillKey, FillState, FillKeyHash> fills_;
  Questions questions_;
  /// What comes, or has come, ahead of its first client.
  net::ExpiringTable<FillKey, bool, FillKeyHash> unasked_{kUnaskedLimit};
  net::KeyedTable<FillKey, Distrust, FillKeyHash> distrusted_;
  net::KeyedTable<FillKey, PendingTags, FillKeyHash> pending_tags_;
};

/// One loop's end of the cache: owns the fills that were started on this loop. Lives on the loop.
class LoopCache {
 public:
  LoopCache(Cache& cache, net::Loop& loop)
      : cache_(cache),
        loop_(loop),
        touches_(loop, cache.writer_, cache.options_.touch_interval),
        files_(loop),
        fills_(loop),
        housekeeping_(loop) {}

  /// For GET. `deadline` bounds everything before the first byte. Errors: upstream's refusal with its
  /// answer, or an outage. What the disk cannot give or take comes from upstream. Outlives what it opens.
  net::Task<Result<Opened>> open(ContentRequest request, Deadline deadline);
  /// For HEAD: never starts a download.
  net::Task<Result<Described>> describe(ContentRequest request, Deadline deadline);

  /// Downloads what a client is about to ask for, and ends with that download; at once where it is here or on
  /// its way. Nobody gets a right to the content by it. Ends early, keeping what there is for the next
  /// download, where `prefetch` says so. How it ended; nothing where there was no reason to begin.
  net::Task<std::optional<metrics::PrefetchResult>> download_ahead(ContentRequest request,
                                                                   std::shared_ptr<Prefetch> prefetch);
  /// Whether the scope's registry has delivered this content, and it is stored.
  bool has_content(const Scope& scope, const oci::Digest& digest, ContentKind kind);
  DownloadSlots& prefetch_slots() { return cache_.prefetch_slots_; }
  /// 0: no limit.
  Bytes max_object() const { return cache_.budget_.limits().max_object; }

  /// Stored content that may be answered without asking anybody, since the scope's right to it was confirmed
  /// within grant_ttl; null where open() and describe() have to find out.
  std::shared_ptr<const Stored> find_granted(const Scope& scope, const oci::Digest& digest, ContentKind kind,
                                             const config::Times& times);
  /// The same for content whose bytes() are here to be sent: its use is noted.
  std::shared_ptr<const Stored> use_small(const Scope& scope, const oci::Digest& digest, ContentKind kind,
                                          const config::Times& times);

  /// A tag that leads to content which is not asked for now (HEAD): recorded at once where the content is
  /// stored under that scope, else with the download that follows soon.
  void remember_tag(PutTag tag);
  /// Whether the content is stored and granted to the scope.
  bool holds(const Scope& scope, const oci::Digest& digest, ContentKind kind);

  Index::Snapshot snapshot() { return cache_.index().snapshot(loop_.index()); }
  IndexWriter& writer() { return cache_.writer(); }
  const Clock& clock() const { return cache_.clock(); }
  /// Whether less than `age` has passed since then. A time to come is a clock set back: not relied on.
  bool is_younger(WallTime since, config::Duration age) const;
  /// Starts taking stored files that the index does not know into it, in the background.
  void start_sweep();
  /// Starts looking after the index, until this dies. On one loop of all.
  void start_index_upkeep();
  /// Starts keeping the cache within its limits, until this dies. On one loop of all.
  void start_eviction();
  /// Starts reading what is stored again, in the background. In the same way.
  void start_scrub();
  /// The disk has not given what is stored of this: it is read again in the background, and where that fails
  /// too goes to quarantine, so that the next request downloads it.
  void note_unreadable(const oci::Digest& digest);

 private:
  /// The right to read stored content, and how it was proved.
  struct Permission {
    metrics::CacheResult how;
    std::string media_type;
  };

  net::Task<bool> find_on_disk(const oci::Digest& digest);
  std::shared_ptr<const Stored> look_up(const Scope& scope, const oci::Digest& digest, ContentKind kind);
  net::Task<Result<Permission>> permit(const ContentRequest& request, const Stored& stored,
                                       Deadline deadline);
  net::Task<Result<SourceHead>> confirm(const ContentRequest& request, const Stored& stored,
                                        Deadline deadline);
  struct GrantQuestion;
  net::Task<void> answer_for_all(GrantQuestion question, Deadline deadline, Cache::Questions::Duty duty);
  net::Task<Result<SourceHead>> ask_once(const ContentRequest& request, std::optional<Bytes> stored,
                                         Fallback fallback, Deadline deadline);
  bool is_good_in_outage(const ContentRequest& request, const Stored& stored) const;

  net::Task<Result<std::optional<Opened>>> open_stored(const ContentRequest& request,
                                                       std::shared_ptr<const Stored> stored, bool is_new_here,
                                                       Deadline deadline);
  net::Task<Result<std::shared_ptr<const UniqueFd>>> open_file(oci::Digest digest, Bytes size);
  net::Task<Result<void>> drop_damaged(const oci::Digest& digest);
  net::Task<void> check_stored(oci::Digest digest);
  net::Task<Result<Opened>> open_uncached(const ContentRequest& request, Error reason, Deadline deadline);
  OwnWay own_way(const ContentRequest& request, std::shared_ptr<HandOver> hand_over);
  net::Task<Result<std::optional<Opened>>> open_fill(const ContentRequest& request, Deadline deadline);
  std::vector<PutTag> take_pending_tags(const FillKey& key, const Scope& scope);
  net::Task<Result<bool>> join(const ContentRequest& request, FillState& fill, Deadline deadline);
  Result<void> check_distrust(const FillKey& key) const;
  void note_mismatch(const FillKey& key, bool is_registry_to_blame);
  PutGrant grant_of(const Scope& scope, const oci::Digest& digest, ContentKind kind,
                    std::string media_type) const;

  bool is_first_of_prefetch(const ContentRequest& request);

  class Ending;
  static FetchLimits limits_of(const ContentRequest& request);
  net::Task<void> run_fill_body(std::shared_ptr<FillState> state, std::shared_ptr<Source> source,
                                FetchLimits limits, std::shared_ptr<HandOver> hand_over, Deadline deadline);
  net::Task<void> run_fill(std::shared_ptr<FillState> state, std::shared_ptr<Source> source,
                           FetchLimits limits, std::shared_ptr<HandOver> hand_over, Deadline deadline);
  void note_not_downloaded(const FillState& state, Source& source, const FillRun& run, const Error& error);
  net::Task<Result<void>> download(std::shared_ptr<FillState> state, FillRun& run, Deadline deadline);

  Cache& cache_;
  net::Loop& loop_;
  Touches touches_;
  RecentLookUps recent_;
  OpenFiles files_;
  std::set<oci::Digest> checked_;  // now
  net::TaskGroup fills_;
  net::TaskGroup housekeeping_;
};

}  // namespace layover::cache
