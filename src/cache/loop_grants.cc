// Whether a scope may read content that is stored, or on its way: by a grant, or by what upstream says now.
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "cache/cache.h"

namespace layover::cache {

namespace {

/// The question is nobody's who waits for the answer.
template <typename Duty>
net::Task<void> answer_for_all(std::shared_ptr<Source> source, Fallback fallback, Deadline deadline,
                               Duty duty) {
  auto head = co_await source->confirm(fallback, deadline);
  duty.settle(std::move(head));
}

}  // namespace

bool LoopCache::is_younger(WallTime since, config::Duration age) const {
  const auto passed = cache_.clock().wall_now() - since;
  return passed >= std::chrono::milliseconds(0) && passed < age;
}

net::Task<Result<LoopCache::Permission>> LoopCache::permit(const ContentRequest& request,
                                                           const Stored& stored, Deadline deadline) {
  if (stored.grant && is_younger(stored.grant->confirmed, request.times->grant_ttl)) {
    co_return Permission{.how = metrics::CacheResult::kHit, .media_type = stored.grant->media_type};
  }
  auto head = co_await confirm(request, stored, deadline);
  if (head)
    co_return Permission{.how = metrics::CacheResult::kRevalidated,
                         .media_type = std::move(head->content_type)};
  const bool is_servable = stored.grant && is_younger(stored.grant->confirmed, request.times->stale_ttl);
  if (!is_servable || !head.error().is_outage()) co_return std::unexpected(head.error());
  log_warning("{} of {} is served although the right to read it could not be confirmed: {}",
              request.digest.to_string(), request.scope.to_string(), head.error().describe());
  co_return Permission{.how = metrics::CacheResult::kStale, .media_type = stored.grant->media_type};
}

// Asks upstream whether the scope may read stored content, and keeps the answer: a yes as a grant, a no
// by removing the one there was.
net::Task<Result<SourceHead>> LoopCache::confirm(const ContentRequest& request, const Stored& stored,
                                                 Deadline deadline) {
  auto head = co_await ask_source(request, stored, deadline);
  if (head) {
    std::vector<Change> changes;
    changes.emplace_back(grant_of(request, head->content_type));
    const FillKey key{.registry = request.scope.registry, .digest = request.digest};
    for (PutTag& tag : take_pending_tags(key, request.scope)) changes.emplace_back(std::move(tag));
    writer().write_later(std::move(changes));
  } else if (head.error().is_refusal()) {
    cache_.metrics_.access_denied(metrics::DenialReason::kGrant).add();
    if (!stored.grant) co_return head;
    std::vector<Change> changes;
    changes.emplace_back(RemoveGrant{.scope = request.scope, .digest = request.digest, .kind = request.kind});
    auto removed = co_await writer().write(std::move(changes));
    if (!removed) co_return std::unexpected(removed.error());
  }
  co_return head;
}

net::Task<Result<SourceHead>> LoopCache::ask_source(const ContentRequest& request, const Stored& stored,
                                                    Deadline deadline) {
  const auto limit =
      stored.grant ? earlier(deadline, Deadline::after(request.times->confirm_timeout)) : deadline;
  auto head = co_await ask_once(request, stored.grant ? Fallback::kStored : Fallback::kNone, limit);
  if (head && head->size && *head->size != stored.content->size) {
    co_return failure(
        ErrorCode::kCorrupt, ErrorSource::kDisk,
        fmt::format("{} gives {} the size {}, and the stored file has {}", request.scope.registry.str(),
                    request.digest.to_string(), head->size->count, stored.content->size.count));
  }
  co_return head;
}

// However many requests of a scope want to know at once, upstream is asked once.
net::Task<Result<SourceHead>> LoopCache::ask_once(const ContentRequest& request, Fallback fallback,
                                                  Deadline deadline) {
  auto head = co_await cache_.questions_.join(
      {.scope = request.scope, .digest = request.digest, .kind = request.kind, .fallback = fallback},
      [] { return std::optional<SourceHead>(); },
      [&](auto duty) { fills_.spawn(answer_for_all(request.source(), fallback, deadline, std::move(duty))); },
      deadline);
  const bool is_still_asked =
      !head && head.error().code() == ErrorCode::kTimeout && head.error().source() == ErrorSource::kSelf;
  if (!is_still_asked) co_return head;
  co_return failure(ErrorCode::kTimeout, ErrorSource::kUpstream,
                    fmt::format("{} took too long to say whether {} may be read",
                                request.scope.registry.str(), request.digest.to_string()));
}

PutGrant LoopCache::grant_of(const ContentRequest& request, std::string media_type) const {
  return {.scope = request.scope,
          .digest = request.digest,
          .kind = request.kind,
          .record = {.confirmed = cache_.clock().wall_now(), .media_type = std::move(media_type)}};
}

// Lets another scope into a running fill once upstream has said that it may read the content. False
// where the fill has ended in the meantime; the grant is then written, so that the next look finds it.
net::Task<Result<bool>> LoopCache::join(const ContentRequest& request, FillState& fill, Deadline deadline) {
  auto head = co_await ask_once(request, Fallback::kNone, deadline);
  if (!head) {
    if (head.error().is_refusal()) cache_.metrics_.access_denied(metrics::DenialReason::kGrant).add();
    co_return std::unexpected(head.error());
  }
  if (fill.admit(request.scope, request.kind)) co_return true;
  const FillView view = fill.view();
  if (view.failure || view.uncached) co_return false;
  std::vector<Change> changes;
  changes.emplace_back(grant_of(request, head->content_type));
  auto written = co_await writer().write(std::move(changes));
  if (!written) co_return std::unexpected(written.error());
  co_return false;
}

}  // namespace layover::cache
