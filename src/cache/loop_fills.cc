// Running a fill from its start to its last word: download, commit, and what is counted, logged and
// remembered when it fails.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "cache/cache.h"

namespace layover::cache {

namespace {

constexpr std::chrono::seconds kFirstPause{10};
constexpr std::chrono::seconds kLongestPause{600};
/// Old marks are swept out when the table has grown to this.
constexpr std::size_t kDistrustSweep = 4096;

}  // namespace

/// However a fill ends, also by being cancelled, its readers hear of it and the table forgets it.
class LoopCache::Ending {
 public:
  Ending(Cache& cache, std::shared_ptr<FillState> state) : cache_(cache), state_(std::move(state)) {
    cache_.metrics_.fills_active().add();
  }
  Ending(const Ending&) = delete;
  Ending& operator=(const Ending&) = delete;
  ~Ending() {
    cache_.metrics_.fills_active().sub();
    cache_.fills_.erase(state_->key(), state_);
    state_->publish_failure(failure_);
  }

  void because_of(Error error) { failure_ = std::move(error); }

 private:
  Cache& cache_;
  std::shared_ptr<FillState> state_;
  Error failure_{ErrorCode::kCancelled, ErrorSource::kSelf, "layover is stopping"};
};

// Short of the budget, so that who waits for the first byte hears what the trouble is.
FetchLimits LoopCache::limits_of(const ContentRequest& request) {
  return {.streams = request.streams, .patience = request.times->first_byte_budget / 2};
}

net::Task<void> LoopCache::run_fill(std::shared_ptr<FillState> state, std::shared_ptr<Source> source,
                                    FetchLimits limits, std::shared_ptr<HandOver> hand_over,
                                    Deadline deadline) {
  try {
    co_await run_fill_body(std::move(state), std::move(source), limits, std::move(hand_over), deadline);
  } catch (const std::exception& bug) {
    // Its readers have been told by Ending; the others go on.
    log_error("a download failed in a way that is a bug, please report it: {}", bug.what());
  }
}

net::Task<void> LoopCache::run_fill_body(std::shared_ptr<FillState> state, std::shared_ptr<Source> source,
                                         FetchLimits limits, std::shared_ptr<HandOver> hand_over,
                                         Deadline deadline) {
  Ending ending(cache_, state);
  FillRun run(loop_, state, source, cache_.committer_, cache_.left_overs_, limits, cache_.extra_streams_,
              std::move(hand_over));
  auto downloaded = co_await download(state, run, deadline);
  if (!downloaded) {
    note_not_downloaded(*state, *source, run, downloaded.error());
    ending.because_of(downloaded.error());
    co_return;
  }
  auto committed = co_await run.commit();
  if (!committed) {
    log_debug("{} was served but cannot be stored: {}", state->key().digest.to_string(),
              committed.error().describe());
    cache_.store_health_.note_failure(committed.error());
    cache_.metrics_.fills(metrics::FillResult::kDiskError).add();
    co_return;
  }
  cache_.store_health_.note_success();
  cache_.metrics_.fills(metrics::FillResult::kCommitted).add();
  if (const auto distrust = cache_.distrusted_.find(state->key()))
    cache_.distrusted_.erase(state->key(), distrust);
}

void LoopCache::note_not_downloaded(const FillState& state, Source& source, const FillRun& run,
                                    const Error& error) {
  const metrics::FillResult result = metrics::fill_result_of(error);
  cache_.metrics_.fills(result).add();
  if (result == metrics::FillResult::kDiskError) cache_.store_health_.note_failure(error);
  // Of bytes from an earlier run nobody knows what became of them since: the next fill begins from nothing.
  if (error.code() == ErrorCode::kDigestMismatch && !run.has_used_left_over())
    note_mismatch(state.key(), source.blame());
  if (error.source() != ErrorSource::kUpstream || !state.view().has_head) {
    log_debug("{} from {} was not downloaded: {}", state.key().digest.to_string(), state.leader().to_string(),
              error.describe());
  } else {
    log_warning("the download of {} from {} failed: {}", state.key().digest.to_string(),
                state.leader().to_string(), error.describe());
  }
}

// Without readers it goes on where that is configured and not too many do; a prefetch, until it should end.
net::Task<Result<void>> LoopCache::download(std::shared_ptr<FillState> state, FillRun& run,
                                            Deadline deadline) {
  const bool is_completed = cache_.complete_abandoned_.load(std::memory_order_relaxed);
  const Prefetch* const prefetch = state->prefetch();
  net::Signal& signal = prefetch != nullptr ? state->progress() : state->abandoned();
  std::optional<DownloadSlots::Slot> slot;
  std::optional<Result<void>> result;
  net::TaskGroup group(loop_);
  group.spawn([](FillRun& fill_run, Deadline until, net::Signal& ended,
                 std::optional<Result<void>>& out) -> net::Task<void> {
    out = co_await fill_run.download(until);
    ended.notify();
  }(run, deadline, signal, result));
  for (;;) {
    const auto seen = signal.version();
    if (result) co_return *result;
    const bool is_unasked = state->is_unasked();
    const bool is_abandoned = !is_unasked && !state->has_readers();
    if (is_abandoned && is_completed && !slot) {
      if (auto taken = cache_.abandoned_slots_.try_take()) slot.emplace(std::move(*taken));
    }
    if (!is_abandoned) slot.reset();
    const bool may_go_on = is_unasked ? !prefetch->should_end() : !is_abandoned || slot;
    if (!may_go_on && state->give_up()) {
      co_return failure(ErrorCode::kCancelled, ErrorSource::kClient,
                        is_unasked ? "no client has asked for it" : "every client has left");
    }
    auto changed = co_await signal.changed(seen, is_unasked ? prefetch->until() : Deadline::never());
    (void)changed;  // either way: look again
  }
}

Result<void> LoopCache::check_distrust(const FillKey& key) const {
  const auto distrust = cache_.distrusted_.find(key);
  if (!distrust || distrust->until.has_passed()) return {};
  const auto left =
      std::chrono::ceil<std::chrono::seconds>(distrust->until.instant() - Deadline::Clock::now());
  return failure(ErrorCode::kDigestMismatch, ErrorSource::kUpstream,
                 fmt::format("{} sent bytes that are not {}; it is not asked for it again for {} s",
                             key.registry.str(), key.digest.to_string(), left.count()));
}

void LoopCache::note_mismatch(const FillKey& key, bool is_registry_to_blame) {
  cache_.metrics_.digest_mismatches(cache_.metrics_.registry(key.registry.str())).add();
  if (!is_registry_to_blame) return;
  const auto before = cache_.distrusted_.find(key);
  if (before && !before->until.has_passed()) return;  // others have read the same wrong bytes
  const auto pause = before ? std::min(before->pause * 2, kLongestPause) : kFirstPause;
  if (cache_.distrusted_.size() >= kDistrustSweep) {
    cache_.distrusted_.erase_if([](const Cache::Distrust& distrust) { return distrust.until.has_passed(); });
  }
  cache_.distrusted_.put(key, std::make_shared<Cache::Distrust>(
                                  Cache::Distrust{.until = Deadline::after(pause), .pause = pause}));
}

}  // namespace layover::cache
