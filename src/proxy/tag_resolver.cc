// Known answers, the one question per tag, and what to do when it fails.
#include "proxy/tag_resolver.h"

#include <fmt/format.h>
#include <algorithm>
#include <utility>
#include <vector>

#include "base/log.h"
#include "proxy/tag_query.h"

namespace layover::proxy {

namespace {

using metrics::CacheResult;

/// How often the time of the last confirmation is written for a tag that does not change.
constexpr std::chrono::minutes kRecordEvery{1};
/// An answer in memory has the size that the index's record lacks, and serves HEAD.
constexpr std::chrono::minutes kKeptAtLeast{1};

std::optional<TagAnswer> recorded_answer(cache::LoopCache& cache, const TagKey& key) {
  auto record = cache.snapshot().tag(key.scope, key.variant, key.tag);
  if (!record) return std::nullopt;
  return TagAnswer{.digest = record->digest,
                   .media_type = std::move(record->media_type),
                   .size = std::nullopt,
                   .etag = std::move(record->etag),
                   .confirmed = record->confirmed,
                   .bytes = nullptr};
}

std::optional<TagAnswer> known_answer(WorkerContext& context, const TagKey& key) {
  auto kept = context.shared.tags.find(key);
  return kept ? kept : recorded_answer(context.cache, key);
}

/// What upstream takes back is not served in its next outage either: the tag, and where access is refused,
/// all its variants and the rights to what they lead to.
net::Task<Result<void>> forget(WorkerContext& context, const TagQuestion& question, const Error& refusal) {
  const TagKey& key = question.key;
  std::vector<cache::Change> changes;
  if (refusal.code() == ErrorCode::kNotFound) {
    context.shared.tags.forget(key);
    // What upstream has in none of these types it may have in others.
    if (!recorded_answer(context.cache, key)) co_return Result<void>();
    changes.emplace_back(cache::RemoveTag{.scope = key.scope, .variant = key.variant, .tag = key.tag});
  } else {
    context.shared.tags.forget_variants(key);
    if (!context.cache.snapshot().has_tag(key.scope, key.tag)) co_return Result<void>();
    changes.emplace_back(cache::RevokeTag{.scope = key.scope, .tag = key.tag});
  }
  co_return co_await context.cache.writer().write(std::move(changes));
}

/// The one that asks, for all who wait; what it learns is kept before they are told.
net::Task<void> ask_and_tell(WorkerContext& context, TagQuestion question, TagTable::Questions::Duty duty) {
  const config::Times& times = question.query.registry->settings().times;
  const WallTime now = context.cache.clock().wall_now();
  auto answer = co_await ask_for_tag(context.client, question, now, Deadline::after(times.first_byte_budget));
  if (answer) {
    context.shared.tags.keep(question.key, *answer, std::max<config::Duration>(times.tag_ttl, kKeptAtLeast));
  } else if (answer.error().is_refusal()) {
    auto forgotten = co_await forget(context, question, answer.error());
    if (!forgotten) answer = std::unexpected(forgotten.error());
  }
  duty.settle(std::move(answer));
}

net::Task<Result<TagAnswer>> confirm(Exchange& exchange, const Target& target, const TagKey& key,
                                     std::optional<TagAnswer> known, TagTrust trust, bool has_fallback,
                                     Deadline deadline) {
  WorkerContext& context = exchange.context();
  const auto confirmed_since = [&context, &key, &known]() -> std::optional<TagAnswer> {
    auto kept = context.shared.tags.find(key);
    const bool is_news = kept && (!known || kept->confirmed > known->confirmed);
    return is_news ? kept : std::nullopt;
  };
  const auto start = [&](TagTable::Questions::Duty duty) {
    TagQuestion question{
        .key = key,
        .query = make_query(exchange, target.registry, target.scope, metrics::Kind::kManifest, {}),
        .known = std::nullopt};
    if (trust != TagTrust::kNone) question.known = known;
    question.query.has_fallback = has_fallback;
    context.background.spawn(ask_and_tell(context, std::move(question), std::move(duty)));
  };
  auto answer = co_await context.shared.tags.questions().join(key, confirmed_since, start, deadline);
  if (answer) co_return std::move(*answer);
  co_return failure(
      ErrorCode::kTimeout, ErrorSource::kUpstream,
      fmt::format("{} took too long to say what {} is", key.scope.registry.str(), key.to_string()));
}

}  // namespace

net::Task<Result<ResolvedTag>> resolve_tag(Exchange& exchange, const Target& target,
                                           oci::AcceptVariant variant, TagTrust trust, Deadline deadline) {
  const config::Times& times = target.registry->settings().times;
  cache::LoopCache& cache = exchange.context().cache;
  const TagKey key{.scope = target.scope, .variant = variant, .tag = *target.reference.tag()};
  auto known = known_answer(exchange.context(), key);
  if (known && trust == TagTrust::kWithinTtl && cache.is_younger(known->confirmed, times.tag_ttl)) {
    co_return ResolvedTag{.answer = std::move(*known), .how = CacheResult::kHit, .record = std::nullopt};
  }
  const bool is_servable = known && cache.is_younger(known->confirmed, times.stale_ttl) &&
                           cache.holds(target.scope, known->digest, cache::ContentKind::kManifest);
  const auto limit = is_servable ? earlier(deadline, Deadline::after(times.confirm_timeout)) : deadline;

  auto answer = co_await confirm(exchange, target, key, known, trust, is_servable, limit);
  if (answer) {
    std::optional<cache::PutTag> record;
    const auto recorded = recorded_answer(cache, key);
    if (!recorded || recorded->digest != answer->digest ||
        !cache.is_younger(recorded->confirmed, kRecordEvery)) {
      record = cache::PutTag{.scope = key.scope,
                             .variant = key.variant,
                             .tag = key.tag,
                             .record = {.digest = answer->digest,
                                        .confirmed = answer->confirmed,
                                        .media_type = answer->media_type,
                                        .etag = answer->etag}};
    }
    co_return ResolvedTag{
        .answer = std::move(*answer), .how = CacheResult::kRevalidated, .record = std::move(record)};
  }
  if (!is_servable || !answer.error().is_outage()) co_return std::unexpected(answer.error());
  log(target.registry->health().is_down() ? LogLevel::kDebug : LogLevel::kWarning, "{} is served stale: {}",
      key.to_string(), answer.error().describe());
  co_return ResolvedTag{.answer = std::move(*known), .how = CacheResult::kStale, .record = std::nullopt};
}

}  // namespace layover::proxy
