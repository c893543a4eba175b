// What an upstream's 2xx must look like to be believed: a captive portal's page proves nothing, and a
// digest header that names something else is a broken upstream.
#include "upstream/content_source.h"

#include <utility>

#include <fmt/format.h>

#include "base/ascii.h"
#include "net/range.h"
#include "oci/media_type.h"

namespace layover::upstream {

namespace {

std::unexpected<Error> nonsense(const Registry& registry, const oci::Digest& digest, std::string_view what) {
  return failure(ErrorCode::kProtocol, ErrorSource::kUpstream,
                 fmt::format("{} answered for {} with {}", registry.name(), digest.to_string(), what));
}

Result<cache::SourceHead> vet(const Registry& registry, const net::ResponseInfo& info,
                              const oci::Digest& digest) {
  const auto problem = [&](std::string_view what) { return nonsense(registry, digest, what); };
  const std::string_view content_type = info.headers.get("content-type").value_or("");
  if (equals_ignoring_case(oci::strip_parameters(content_type), "text/html")) return problem("an HTML page");
  const auto encoding = info.headers.get("content-encoding");
  if (encoding && !encoding->empty() && !equals_ignoring_case(*encoding, "identity")) {
    return problem(fmt::format("Content-Encoding {} although identity was asked for", *encoding));
  }
  const auto named = oci::Digest::parse(info.headers.get("docker-content-digest").value_or(""));
  // Another algorithm's name for the same bytes is no contradiction.
  if (named && named->algorithm() == digest.algorithm() && *named != digest) {
    return problem(fmt::format("the digest {}", named->to_string()));
  }
  cache::SourceHead head{.size = std::nullopt,
                         .content_type = std::string(content_type),
                         .takes_ranges = !info.headers.has_token("accept-ranges", "none")};
  if (info.content_length) head.size = Bytes{*info.content_length};
  return head;
}

/// What a 206 says about the whole, and about the part that it is.
Result<void> note_part(const net::ResponseInfo& info, cache::SourceHead& head) {
  auto part = net::parse_content_range(info.headers.get("content-range").value_or(""));
  if (!part) return std::unexpected(part.error());
  head.size = part->size ? std::optional(Bytes{*part->size}) : std::nullopt;
  if (part->range) head.begin = part->range->begin;
  return {};
}

/// Whether an answer is what was asked for: the whole where it is no part, else a part that begins there, and
/// in either case of content of the size that was told before.
Result<void> check_range(const Registry& registry, const oci::Digest& digest,
                         const cache::SourceRange& wanted, const cache::SourceHead& head) {
  const auto problem = [&](std::string_view what) { return nonsense(registry, digest, what); };
  if (head.begin != wanted.begin && head.begin != 0) {
    return problem(
        fmt::format("the bytes from {} on where those from {} were asked for", head.begin, wanted.begin));
  }
  if (wanted.size && head.size && *head.size != *wanted.size) {
    return problem(fmt::format("a size of {} where it was {} before", head.size->count, wanted.size->count));
  }
  return {};
}

/// A 2xx says something about this content only if it names its digest or its size: a portal's page does
/// neither.
bool has_evidence(const net::ResponseInfo& info) {
  return info.content_length || oci::Digest::parse(info.headers.get("docker-content-digest").value_or(""));
}

/// A registry that may have no answer to a HEAD, and one to a GET.
bool may_lack_head(const Error& error) {
  const UpstreamAnswer* answer = error.answer();
  return answer != nullptr && (answer->status == 404 || answer->status == 405 || answer->status == 501);
}

class ContentStream final : public cache::SourceStream {
 public:
  ContentStream(Response response, cache::SourceHead head)
      : response_(std::move(response)), head_(std::move(head)) {}

  const cache::SourceHead& head() const override { return head_; }
  net::Task<Result<std::size_t>> read(std::span<std::byte> into) override { return response_.read(into); }

 private:
  Response response_;
  cache::SourceHead head_;
};

class ContentSource final : public cache::Source {
 public:
  ContentSource(Client& client, Query query, oci::Digest digest)
      : client_(client), query_(std::move(query)), digest_(digest) {}

  net::Task<Result<cache::SourceHead>> confirm(cache::Fallback fallback, Deadline deadline) override {
    Query query = query_;
    query.is_head = true;
    query.has_fallback = fallback == cache::Fallback::kStored;
    auto response = co_await client_.send(std::move(query), deadline);
    if (!response) {
      if (!may_lack_head(response.error())) co_return std::unexpected(response.error());
      co_return co_await confirm_by_get(deadline);
    }
    auto head = vetted(response->info());
    if (!head || has_evidence(response->info())) co_return head;
    co_return co_await confirm_by_get(deadline);
  }

  net::Task<Result<std::unique_ptr<cache::SourceStream>>> open(cache::SourceRange range,
                                                               Deadline deadline) override {
    Query query = query_;
    const bool is_part = range.begin > 0 || range.end;
    if (is_part) query.range = net::format_range(range.begin, range.end);
    auto response = co_await client_.send(std::move(query), deadline);
    if (!response) co_return std::unexpected(response.error());
    auto head = vetted(response->info());
    if (!head) co_return std::unexpected(head.error());
    if (response->info().status == 206 && is_part) {
      auto noted = counted(note_part(response->info(), *head));
      if (!noted) co_return std::unexpected(noted.error());
    } else if (response->info().status != 200) {
      client_.count_nonsense(*query_.registry);
      co_return failure(ErrorCode::kProtocol, ErrorSource::kUpstream,
                        fmt::format("{} answered {} to a request without a range", query_.registry->name(),
                                    response->info().status));
    }
    auto checked = counted(check_range(*query_.registry, digest_, range, *head));
    if (!checked) co_return std::unexpected(checked.error());
    std::unique_ptr<cache::SourceStream> stream =
        std::make_unique<ContentStream>(std::move(*response), std::move(*head));
    co_return std::move(stream);
  }

 private:
  // Some registries answer no HEAD, or not before their first GET: the first byte then proves the same.
  net::Task<Result<cache::SourceHead>> confirm_by_get(Deadline deadline) {
    Query query = query_;
    query.range = net::format_range(0, 1);
    auto response = co_await client_.send(std::move(query), deadline);
    if (!response) co_return std::unexpected(response.error());
    auto head = vetted(response->info());
    if (!head) co_return head;
    if (response->info().status == 206) {
      auto noted = counted(note_part(response->info(), *head));
      if (!noted) co_return std::unexpected(noted.error());
    }
    if (head->size || has_evidence(response->info())) co_return head;
    co_return failure(ErrorCode::kProtocol, ErrorSource::kUpstream,
                      fmt::format("{} answered for {} with neither its digest nor its size",
                                  query_.registry->name(), digest_.to_string()));
  }

  Result<cache::SourceHead> vetted(const net::ResponseInfo& info) const {
    return counted(vet(*query_.registry, info, digest_));
  }
  /// What is found wrong with an answer is counted too.
  template <typename T>
  Result<T> counted(Result<T> result) const {
    if (!result) client_.count_nonsense(*query_.registry);
    return result;
  }

  Client& client_;
  Query query_;
  oci::Digest digest_;
};

}  // namespace

std::shared_ptr<cache::Source> make_content_source(Client& client, Query query, oci::Digest digest) {
  return std::make_shared<ContentSource>(client, std::move(query), digest);
}

}  // namespace layover::upstream
