// Whether a scope may read content that is stored, or on its way: by a grant, or by what upstream says now.
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "cache/cache.h"

namespace layover::cache {

namespace {

/// What upstream says of content that is stored must fit that, which is verified.
Result<SourceHead> fitting(Result<SourceHead> head, const Scope& scope, const oci::Digest& digest,
                           std::optional<Bytes> stored) {
  if (!head || head->fits(stored)) return head;
  return failure(ErrorCode::kProtocol, ErrorSource::kUpstream,
                 fmt::format("{} gives {} the size {}, and the stored file has {}", scope.registry.str(),
                             digest.to_string(), head->size->count, stored->count));
}

}  // namespace

/// A question of which nobody who waits for the answer is the owner.
struct LoopCache::GrantQuestion {
  std::shared_ptr<Source> source;
  Scope scope;
  oci::Digest digest;
  ContentKind kind;
  std::optional<Bytes> stored;  // the size of what is stored of it
  Fallback fallback;            // whether a grant of that stands in for a missing answer
};

/// What is learnt about a grant that stands in meanwhile is written down before those who wait are told:
/// perhaps nobody waits any more.
net::Task<void> LoopCache::answer_for_all(GrantQuestion question, Deadline deadline,
                                          Cache::Questions::Duty duty) {
  auto head = co_await question.source->confirm(question.fallback, question.stored, deadline);
  head = fitting(std::move(head), question.scope, question.digest, question.stored);
  if (question.fallback == Fallback::kStored) {
    std::vector<Change> changes;
    if (head) {
      changes.emplace_back(grant_of(question.scope, question.digest, question.kind, head->content_type));
      writer().write_later(std::move(changes));
    } else if (head.error().is_refusal()) {
      changes.emplace_back(
          RemoveGrant{.scope = question.scope, .digest = question.digest, .kind = question.kind});
      auto removed = co_await writer().write(std::move(changes));
      if (!removed) head = std::unexpected(removed.error());
    }
  }
  duty.settle(std::move(head));
}

bool LoopCache::is_good_in_outage(const ContentRequest& request, const Stored& stored) const {
  return stored.grant && is_younger(stored.grant->confirmed, request.times->stale_ttl);
}

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
  if (!is_good_in_outage(request, stored) || !head.error().is_outage())
    co_return std::unexpected(head.error());
  log_warning("{} of {} is served although the right to read it could not be confirmed: {}",
              request.digest.to_string(), request.scope.to_string(), head.error().describe());
  co_return Permission{.how = metrics::CacheResult::kStale, .media_type = stored.grant->media_type};
}

// Asks upstream whether the scope may read stored content, and keeps the answer: a yes as a grant, a no
// by removing the one there was.
net::Task<Result<SourceHead>> LoopCache::confirm(const ContentRequest& request, const Stored& stored,
                                                 Deadline deadline) {
  const bool is_renewal = is_good_in_outage(request, stored);
  const auto limit =
      is_renewal ? earlier(deadline, Deadline::after(request.times->confirm_timeout)) : deadline;
  auto head = co_await ask_once(request, stored.content->size,
                                is_renewal ? Fallback::kStored : Fallback::kNone, limit);
  // Perhaps the answer was to somebody who knew of nothing stored.
  head = fitting(std::move(head), request.scope, request.digest, stored.content->size);
  if (head) {
    std::vector<Change> changes;
    if (!is_renewal)
      changes.emplace_back(grant_of(request.scope, request.digest, request.kind, head->content_type));
    const FillKey key{.registry = request.scope.registry, .digest = request.digest};
    for (PutTag& tag : take_pending_tags(key, request.scope)) changes.emplace_back(std::move(tag));
    if (!changes.empty()) writer().write_later(std::move(changes));
  } else if (head.error().is_refusal()) {
    cache_.metrics_.access_denied(metrics::DenialReason::kGrant).add();
    if (is_renewal || !stored.grant) co_return head;
    std::vector<Change> changes;
    changes.emplace_back(RemoveGrant{.scope = request.scope, .digest = request.digest, .kind = request.kind});
    auto removed = co_await writer().write(std::move(changes));
    if (!removed) co_return std::unexpected(removed.error());
  }
  co_return head;
}

// However many requests of a scope want to know at once, upstream is asked once, with the time that a request
// has at most: those who wait may have less.
net::Task<Result<SourceHead>> LoopCache::ask_once(const ContentRequest& request, std::optional<Bytes> stored,
                                                  Fallback fallback, Deadline deadline) {
  const auto start = [&](Cache::Questions::Duty duty) {
    GrantQuestion question{.source = request.source(),
                           .scope = request.scope,
                           .digest = request.digest,
                           .kind = request.kind,
                           .stored = stored,
                           .fallback = fallback};
    const auto limit = Deadline::after(request.times->first_byte_budget);
    fills_.spawn(answer_for_all(std::move(question), limit, std::move(duty)));
  };
  auto head = co_await cache_.questions_.join(
      {.scope = request.scope, .digest = request.digest, .kind = request.kind, .fallback = fallback}, start,
      deadline);
  if (head) co_return std::move(*head);
  co_return failure(ErrorCode::kTimeout, ErrorSource::kUpstream,
                    fmt::format("{} took too long to say whether {} may be read",
                                request.scope.registry.str(), request.digest.to_string()));
}

PutGrant LoopCache::grant_of(const Scope& scope, const oci::Digest& digest, ContentKind kind,
                             std::string media_type) const {
  return {.scope = scope,
          .digest = digest,
          .kind = kind,
          .record = {.confirmed = cache_.clock().wall_now(), .media_type = std::move(media_type)}};
}

// Lets another scope into a running fill once upstream has said that it may read the content. False
// where the fill has ended in the meantime; the grant is then written, so that the next look finds it.
net::Task<Result<bool>> LoopCache::join(const ContentRequest& request, FillState& fill, Deadline deadline) {
  auto head = co_await ask_once(request, std::nullopt, Fallback::kNone, deadline);
  if (!head) {
    if (head.error().is_refusal()) cache_.metrics_.access_denied(metrics::DenialReason::kGrant).add();
    co_return std::unexpected(head.error());
  }
  if (fill.admit(request.scope, request.kind)) co_return true;
  const FillView view = fill.view();
  if (view.failure || view.uncached) co_return false;
  std::vector<Change> changes;
  changes.emplace_back(grant_of(request.scope, request.digest, request.kind, head->content_type));
  auto written = co_await writer().write(std::move(changes));
  if (!written) co_return std::unexpected(written.error());
  co_return false;
}

}  // namespace layover::cache
