// In batches, so that many small contents share one sync of the index. The order within a batch: claim,
// count the bytes as held, remove the entries, unlink. A crash in between leaves a file without an entry,
// which the sweep adopts.
#include "cache/eviction.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/log.h"
#include "cache/cache.h"
#include "net/offload.h"

namespace layover::cache {

namespace {

constexpr std::size_t kBatch = 32;
/// Per content of a batch: the one used longest ago of 16 is among the oldest 6 % on average.
constexpr std::size_t kDraws = 16;
/// What came or was used this recently stays while nobody waits for room.
constexpr std::chrono::seconds kYoung{60};
/// What was used this recently stays where nobody has even asked for what the room would be for.
constexpr std::chrono::hours kOfUse{24};

constexpr std::chrono::minutes kBetweenOldLeftOvers{10};
/// At how much is free.
constexpr std::chrono::seconds kBetweenLooks{5};

/// Before an index that cannot be written, or files that cannot be unlinked, are tried again.
constexpr std::chrono::seconds kFirstPause{1};
constexpr std::chrono::seconds kLongestPause{60};

/// Where files cannot be unlinked, eviction would only forget them: then one is tried at a time, ever more
/// rarely, until one goes.
class Caution {
 public:
  std::size_t most() const { return has_failed_ ? 1 : kBatch; }
  std::chrono::seconds pause() const { return pause_; }
  void note(bool has_worked) {
    pause_ = has_worked || !has_failed_ ? kFirstPause : std::min(pause_ * 2, kLongestPause);
    has_failed_ = !has_worked;
  }

 private:
  bool has_failed_ = false;
  std::chrono::seconds pause_ = kFirstPause;
};

struct Victim {
  Claim claim;
  Reservation held;
  Bytes size;
};

/// Shared with the jobs on the pool, which may outlive the task.
using Victims = std::shared_ptr<std::vector<Victim>>;

/// A time to come is of a clock that has been set back since: it says nothing.
WallTime last_use(const ContentRecord& record, WallTime now) {
  return record.used <= now ? record.used : WallTime{};
}

bool is_spared(const ContentRecord& record, const SpaceDemand& demand, WallTime now) {
  if (demand.is_urgent) return false;
  return now - last_use(record, now) < (demand.is_spare ? std::chrono::seconds(kOfUse) : kYoung);
}

Victims claim_victims(Cache& cache, EvictionPolicy& policy, const SpaceDemand& demand, std::size_t most) {
  auto victims = std::make_shared<std::vector<Victim>>();
  const WallTime now = cache.clock().wall_now();
  Bytes sum;
  for (const ContentEntry& entry : policy.choose(cache.index(), now)) {
    if (sum >= demand.excess || victims->size() == most) break;
    if (is_spared(entry.record, demand, now)) continue;
    auto claim = cache.directory().claims().try_claim(entry.digest);
    if (!claim) continue;  // it is being replaced
    const auto record = cache.index().find(entry.digest);
    if (!record) continue;  // somebody was quicker
    sum.count += record->size.count;
    victims->push_back(
        {.claim = std::move(*claim), .held = cache.budget().hold(record->size), .size = record->size});
  }
  return victims;
}

/// What is to go now.
struct Choice {
  SpaceDemand demand;
  bool has_dropped = false;  // left-overs, which go first: the demand is another one now
  Victims victims;
};

/// In one go: what is chosen by a demand of a moment ago may be what ended it.
Choice choose(Cache& cache, EvictionPolicy& policy, std::size_t most) {
  Choice choice{.demand = cache.budget().demand(), .victims = nullptr};
  const SpaceDemand& demand = choice.demand;
  if ((demand.excess.count > 0 && !demand.is_spare) || demand.is_urgent) {
    choice.has_dropped = cache.left_overs().drop(std::max(demand.excess, Bytes{1})).count > 0;
  }
  if (!choice.has_dropped && demand.excess.count > 0)
    choice.victims = claim_victims(cache, policy, demand, most);
  return choice;
}

struct Gone {
  std::size_t contents = 0;
  Bytes bytes;
};

/// What cannot be unlinked stays counted, and is adopted by the next start.
Gone unlink_all(Cache& cache, const std::vector<Victim>& victims) {
  Gone gone;
  for (const Victim& victim : victims) {
    const oci::Digest& digest = victim.claim.digest();
    auto removed = cache.directory().files().remove(cache.directory().blob_file(digest));
    if (removed) {
      ++gone.contents;
      gone.bytes.count += victim.size.count;
    } else {
      log_error("evicted content stays on the disk: {}", removed.error().describe());
      cache.budget().note_orphan(digest, victim.size);
    }
  }
  cache.budget().note_unlinked(gone.bytes);
  return gone;
}

/// Whether all of them are gone from the disk.
net::Task<bool> evict(Cache& cache, Victims victims) {
  std::vector<Change> changes;
  for (const Victim& victim : *victims) changes.emplace_back(RemoveContent{.digest = victim.claim.digest()});
  auto forgotten = co_await cache.writer().write(std::move(changes));
  if (!forgotten) co_return false;  // logged by the writer
  const Gone gone =
      co_await net::offload(net::Work::kDisk, [&cache, victims] { return unlink_all(cache, *victims); });
  cache.count_evicted(gone.contents, gone.bytes);
  log_debug("evicted {} contents, {} bytes", gone.contents, gone.bytes.count);
  co_return gone.contents == victims->size();
}

net::Task<void> evict_as_demanded(Cache& cache, std::shared_ptr<EvictionPolicy> policy, Caution& caution) {
  for (;;) {
    const std::size_t most = caution.most();
    Choice choice = co_await net::offload(net::Work::kDisk,
                                          [&cache, policy, most] { return choose(cache, *policy, most); });
    if (choice.has_dropped) continue;
    if (choice.demand.excess.count == 0) co_return;
    if (choice.victims->empty()) {
      if (choice.demand.is_urgent) cache.budget().note_exhausted(choice.demand.epoch);
      co_return;
    }
    const bool is_gone = co_await evict(cache, std::move(choice.victims));
    caution.note(is_gone);
    cache.budget().note_eviction(is_gone);
    if (!is_gone) co_await net::sleep_until(Deadline::after(caution.pause()));
  }
}

}  // namespace

std::vector<ContentEntry> SampledLastUse::choose(const Index& index, WallTime now) {
  auto drawn = index.sample(kDraws * kBatch, random_);
  std::ranges::sort(drawn, {}, [now](const ContentEntry& entry) { return last_use(entry.record, now); });
  if (drawn.size() > kBatch) drawn.erase(drawn.begin() + kBatch, drawn.end());
  return drawn;
}

net::Task<void> keep_within_limits(Cache& cache, std::shared_ptr<EvictionPolicy> policy) {
  Caution caution;
  for (;;) {
    const auto seen = cache.budget().pressure()->version();
    co_await evict_as_demanded(cache, policy, caution);
    // What others write to the file system announces itself to nobody.
    const bool must_look = cache.budget().limits().min_free.count > 0;
    auto changed = co_await cache.budget().pressure()->changed(
        seen, must_look ? Deadline::after(kBetweenLooks) : Deadline::never());
    (void)changed;  // either way: look
  }
}

net::Task<void> drop_old_left_overs(Cache& cache) {
  for (;;) {
    co_await net::sleep_until(Deadline::after(kBetweenOldLeftOvers));
    co_await net::offload(net::Work::kDisk, [&cache] { return cache.left_overs().drop(Bytes{}); });
  }
}

}  // namespace layover::cache
