// Downloads that no client has asked for: begun like any other, but nobody is admitted by them.
#include <chrono>
#include <utility>

#include "cache/cache.h"

namespace layover::cache {

namespace {

/// Whoever comes later has it from the cache, whyever it is there.
constexpr std::chrono::hours kAwaited{1};

metrics::PrefetchResult result_of(const FillState& fill) {
  if (!fill.is_unasked()) return metrics::PrefetchResult::kAsked;
  const FillView view = fill.view();
  if (view.is_verified) return metrics::PrefetchResult::kUnasked;
  const bool is_stopped = view.failure && view.failure->code() == ErrorCode::kCancelled;
  return is_stopped ? metrics::PrefetchResult::kStopped : metrics::PrefetchResult::kFailed;
}

}  // namespace

bool LoopCache::has_content(const Scope& scope, const oci::Digest& digest, ContentKind kind) {
  return look_up(scope, digest, kind)->has_origin;
}

net::Task<std::optional<metrics::PrefetchResult>> LoopCache::download_ahead(
    ContentRequest request, std::shared_ptr<Prefetch> prefetch) {
  const FillKey key{.registry = request.scope.registry, .digest = request.digest};
  if (!check_distrust(key)) co_return std::nullopt;
  co_await find_on_disk(request.digest);
  auto [fill, is_new] = cache_.fills_.find_or_insert(key, [&]() -> std::shared_ptr<FillState> {
    if (has_content(request.scope, request.digest, request.kind)) return nullptr;
    return std::make_shared<FillState>(key, request.scope, request.kind, prefetch);
  });
  if (!fill || !is_new) co_return std::nullopt;
  // From now on: its first client may come before it is known here that it has ended.
  cache_.unasked_.put(key, true, Deadline::after(kAwaited));
  co_await run_fill(fill, request.source(), limits_of(request), std::make_shared<HandOver>(),
                    Deadline::after(request.times->first_byte_budget));
  prefetch->give_slot_back();
  const auto result = result_of(*fill);
  if (result != metrics::PrefetchResult::kUnasked) cache_.unasked_.erase(key);
  cache_.metrics_.prefetches(result).add();
  co_return result;
}

// It was fetched for this one: a miss that took no time.
bool LoopCache::is_first_of_prefetch(const ContentRequest& request) {
  const FillKey key{.registry = request.scope.registry, .digest = request.digest};
  if (!cache_.unasked_.find(key)) return false;
  cache_.unasked_.erase(key);
  return true;
}

}  // namespace layover::cache
