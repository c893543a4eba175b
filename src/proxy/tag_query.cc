// HEAD, which Docker Hub does not count as a pull; then GET.
#include "proxy/tag_query.h"

#include <span>
#include <utility>

#include <fmt/format.h>

#include "cache/fill_run.h"
#include "cache/hasher.h"
#include "oci/manifest.h"
#include "oci/media_type.h"

namespace layover::proxy {

namespace {

upstream::Query tag_query(const TagQuestion& question, bool is_head) {
  upstream::Query query = question.query;
  query.path = "manifests/" + question.key.tag.str();
  query.is_head = is_head;
  query.vet = refuse_html;
  query.accept.clear();
  for (const std::string_view value : question.key.variant.accept_values()) query.accept.emplace_back(value);
  return query;
}

std::optional<oci::Digest> digest_header(const net::ResponseInfo& info) {
  return oci::Digest::parse(info.headers.get("docker-content-digest").value_or(""));
}

/// By the algorithm of the digest that was announced, if one was.
oci::Digest digest_of(const std::optional<oci::Digest>& announced, const std::string& bytes) {
  const auto algorithm = announced ? announced->algorithm() : oci::Algorithm::kSha256;
  return cache::digest_of(algorithm, std::as_bytes(std::span(bytes)));
}

/// Most registries' validator is the digest; another is sent too.
std::string condition_for(const TagAnswer& known) {
  std::string condition = fmt::format("\"{}\"", known.digest.to_string());
  if (!known.etag.empty() && known.etag != condition) condition += ", " + known.etag;
  return condition;
}

net::Task<Result<TagAnswer>> ask_by_head(upstream::Client& client, const TagQuestion& question, WallTime now,
                                         Deadline deadline) {
  upstream::Query query = tag_query(question, true);
  if (question.known) query.if_none_match = condition_for(*question.known);
  auto response = co_await client.send(std::move(query), deadline);
  if (!response) co_return std::unexpected(response.error());
  const net::ResponseInfo& info = response->info();
  const auto digest = digest_header(info);
  if (info.status == 304 && (!digest || *digest == question.known->digest)) {
    TagAnswer same = *question.known;
    same.confirmed = now;
    co_return same;
  }
  if (info.status == 304 || !digest) {
    co_return failure(ErrorCode::kUnsupported, ErrorSource::kUpstream, "no digest in the answer to HEAD");
  }
  TagAnswer answer{.digest = *digest,
                   .media_type = std::string(info.headers.get("content-type").value_or("")),
                   .size = std::nullopt,
                   .etag = std::string(info.headers.get("etag").value_or("")),
                   .confirmed = now,
                   .bytes = nullptr};
  if (info.content_length) answer.size = Bytes{*info.content_length};
  co_return answer;
}

net::Task<Result<TagAnswer>> ask_by_get(upstream::Client& client, const TagQuestion& question, WallTime now,
                                        Deadline deadline) {
  const auto check = [name = question.key.to_string()](const net::ResponseInfo& info,
                                                       const std::string& bytes) -> Result<void> {
    if (!oci::looks_like_manifest(bytes)) {
      return failure(ErrorCode::kProtocol, ErrorSource::kUpstream,
                     fmt::format("what upstream sent for {} is no manifest", name));
    }
    const auto announced = digest_header(info);
    if (!announced || *announced == digest_of(announced, bytes)) return {};
    return failure(ErrorCode::kDigestMismatch, ErrorSource::kUpstream,
                   fmt::format("upstream announced {} for {} and sent {}", announced->to_string(), name,
                               digest_of(announced, bytes).to_string()));
  };
  auto whole = co_await client.fetch(tag_query(question, false), cache::kMaxManifest, check, deadline);
  if (!whole) co_return std::unexpected(whole.error());
  const net::HttpHeaders& headers = whole->info.headers;
  TagAnswer answer{.digest = digest_of(digest_header(whole->info), whole->body),
                   .media_type = std::string(headers.get("content-type").value_or("")),
                   .size = Bytes{whole->body.size()},
                   .etag = std::string(headers.get("etag").value_or("")),
                   .confirmed = now,
                   .bytes = nullptr};
  answer.bytes = std::make_shared<const std::string>(std::move(whole->body));
  co_return answer;
}

/// A HEAD that says nothing usable, while a GET may: not supported, or (some registries, for what they
/// have not pulled themselves yet) not found.
bool is_worth_a_get(const Error& error) {
  if (error.code() == ErrorCode::kUnsupported || error.code() == ErrorCode::kNotFound) return true;
  const UpstreamAnswer* answer = error.answer();
  return answer != nullptr && (answer->status == 405 || answer->status == 501);
}

}  // namespace

Result<void> refuse_html(const net::ResponseInfo& info) {
  if (!oci::is_html(info.headers.get("content-type").value_or(""))) return {};
  return failure(ErrorCode::kProtocol, ErrorSource::kUpstream, "it sent an HTML page");
}

net::Task<Result<TagAnswer>> ask_for_tag(upstream::Client& client, TagQuestion question, WallTime now,
                                         Deadline deadline) {
  auto answer = co_await ask_by_head(client, question, now, deadline);
  if (answer || !is_worth_a_get(answer.error())) co_return answer;
  co_return co_await ask_by_get(client, question, now, deadline);
}

}  // namespace layover::proxy
