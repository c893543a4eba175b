// A HEAD, and a GET where upstream has no answer to a HEAD or leaves out the digest.
#include "proxy/tag_resolver.h"

#include <span>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/log.h"
#include "cache/fill_run.h"
#include "cache/hasher.h"
#include "oci/manifest.h"

namespace layover::proxy {

namespace {

/// How often the time of the last confirmation is written for a tag that does not change.
constexpr std::chrono::minutes kRecordEvery{1};

upstream::Query tag_query(Exchange& exchange, const Target& target, oci::AcceptVariant variant,
                          bool is_head) {
  upstream::Query query =
      make_query(exchange, target, metrics::Kind::kManifest, "manifests/" + target.reference.tag()->str());
  query.is_head = is_head;
  query.accept.clear();
  for (const std::string_view value : variant.accept_values()) query.accept.emplace_back(value);
  return query;
}

std::optional<oci::Digest> digest_header(const net::ResponseInfo& info) {
  return oci::Digest::parse(info.headers.get("docker-content-digest").value_or(""));
}

net::Task<Result<ResolvedTag>> ask_by_head(Exchange& exchange, const Target& target,
                                           oci::AcceptVariant variant, Deadline deadline) {
  auto response =
      co_await exchange.context().client.send(tag_query(exchange, target, variant, true), deadline);
  if (!response) co_return std::unexpected(response.error());
  const net::ResponseInfo& info = response->info();
  const auto digest = digest_header(info);
  if (!digest)
    co_return failure(ErrorCode::kUnsupported, ErrorSource::kUpstream, "no digest in the answer to HEAD");
  ResolvedTag resolved{.digest = *digest,
                       .media_type = std::string(info.headers.get("content-type").value_or("")),
                       .size = std::nullopt,
                       .bytes = std::nullopt,
                       .stale_because = std::nullopt,
                       .record = std::nullopt};
  if (info.content_length) resolved.size = Bytes{*info.content_length};
  co_return resolved;
}

net::Task<Result<ResolvedTag>> ask_by_get(Exchange& exchange, const Target& target,
                                          oci::AcceptVariant variant, Deadline deadline) {
  auto response =
      co_await exchange.context().client.send(tag_query(exchange, target, variant, false), deadline);
  if (!response) co_return std::unexpected(response.error());
  const auto announced = digest_header(response->info());
  std::string media_type(response->info().headers.get("content-type").value_or(""));
  auto bytes = co_await response->read_all(cache::kMaxManifest, deadline);
  if (!bytes) co_return std::unexpected(bytes.error());
  const std::string name = fmt::format("{}:{}", target.scope.to_string(), target.reference.to_string());
  if (!oci::looks_like_manifest(*bytes)) {
    co_return failure(ErrorCode::kProtocol, ErrorSource::kUpstream,
                      fmt::format("what upstream sent for {} is no manifest", name));
  }
  const auto algorithm = announced ? announced->algorithm() : oci::Algorithm::kSha256;
  const oci::Digest digest = cache::digest_of(algorithm, std::as_bytes(std::span(*bytes)));
  if (announced && *announced != digest) {
    co_return failure(ErrorCode::kDigestMismatch, ErrorSource::kUpstream,
                      fmt::format("upstream announced {} for {} and sent {}", announced->to_string(), name,
                                  digest.to_string()));
  }
  const Bytes size{bytes->size()};
  co_return ResolvedTag{.digest = digest,
                        .media_type = std::move(media_type),
                        .size = size,
                        .bytes = std::move(*bytes),
                        .stale_because = std::nullopt,
                        .record = std::nullopt};
}

/// A HEAD that says nothing usable, while a GET may: not supported, or (some registries, for what they
/// have not pulled themselves yet) not found.
bool is_worth_a_get(const Error& error) {
  if (error.code() == ErrorCode::kUnsupported || error.code() == ErrorCode::kNotFound) return true;
  const UpstreamAnswer* answer = error.answer();
  return answer != nullptr && (answer->status == 405 || answer->status == 501);
}

net::Task<Result<ResolvedTag>> ask(Exchange& exchange, const Target& target, oci::AcceptVariant variant,
                                   Deadline deadline) {
  auto resolved = co_await ask_by_head(exchange, target, variant, deadline);
  if (resolved || !is_worth_a_get(resolved.error())) co_return resolved;
  co_return co_await ask_by_get(exchange, target, variant, deadline);
}

/// What upstream takes back is not served in its next outage either: the tag, and where access is refused,
/// the right to the manifest.
net::Task<Result<void>> forget(cache::LoopCache& cache, const cache::Scope& scope, oci::AcceptVariant variant,
                               oci::Tag tag, oci::Digest digest, const Error& refusal) {
  std::vector<cache::Change> changes;
  changes.emplace_back(cache::RemoveTag{.scope = scope, .variant = variant, .tag = std::move(tag)});
  if (refusal.code() != ErrorCode::kNotFound) {
    changes.emplace_back(
        cache::RemoveGrant{.scope = scope, .digest = digest, .kind = cache::ContentKind::kManifest});
  }
  return cache.writer().write(std::move(changes));
}

}  // namespace

net::Task<Result<ResolvedTag>> resolve_tag(Exchange& exchange, const Target& target,
                                           oci::AcceptVariant variant, Deadline deadline) {
  const config::Times& times = target.registry->settings().times;
  cache::LoopCache& cache = exchange.context().cache;
  const oci::Tag& tag = *target.reference.tag();
  const auto known = cache.snapshot().tag(target.scope, variant, tag);
  const WallTime now = cache.clock().wall_now();
  const auto age = now - (known ? known->confirmed : now);
  // A confirmation in the future is a clock set back: not to be relied on.
  const bool is_servable = known && age >= std::chrono::milliseconds(0) && age < times.stale_ttl;
  const auto limit = is_servable ? earlier(deadline, Deadline::after(times.confirm_timeout)) : deadline;

  auto resolved = co_await ask(exchange, target, variant, limit);
  if (!resolved) {
    if (known && resolved.error().is_refusal()) {
      auto forgotten = co_await forget(cache, target.scope, variant, tag, known->digest, resolved.error());
      if (!forgotten) co_return std::unexpected(forgotten.error());
    }
    if (!is_servable || !resolved.error().is_outage()) co_return resolved;
    log_warning("{}:{} is served stale: {}", target.scope.to_string(), tag.str(),
                resolved.error().describe());
    co_return ResolvedTag{.digest = known->digest,
                          .media_type = known->media_type,
                          .size = std::nullopt,
                          .bytes = std::nullopt,
                          .stale_because = resolved.error(),
                          .record = std::nullopt};
  }
  if (!known || known->digest != resolved->digest || age < std::chrono::milliseconds(0) ||
      age > kRecordEvery) {
    resolved->record = cache::PutTag{
        .scope = target.scope,
        .variant = variant,
        .tag = tag,
        .record = {
            .digest = resolved->digest, .confirmed = now, .media_type = resolved->media_type, .etag = {}}};
  }
  co_return resolved;
}

}  // namespace layover::proxy
