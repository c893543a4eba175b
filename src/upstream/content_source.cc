// What an upstream's 2xx must look like to be believed: a captive portal's page proves nothing, and a
// digest header that names something else is a broken upstream.
#include "upstream/content_source.h"

#include <memory>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/ascii.h"
#include "net/range.h"
#include "oci/media_type.h"

namespace layover::upstream {

namespace {

std::unexpected<Error> nonsense(const oci::Digest& digest, std::string_view what) {
  return failure(ErrorCode::kProtocol, ErrorSource::kUpstream,
                 fmt::format("for {} it sent {}", digest.to_string(), what));
}

/// What a 200 or 206 says of the content.
Result<cache::SourceHead> read_head(const net::ResponseInfo& info, const oci::Digest& digest) {
  const std::string_view content_type = info.headers.get("content-type").value_or("");
  if (oci::is_html(content_type)) {
    return nonsense(digest, "an HTML page");
  }
  const auto encoding = info.headers.get("content-encoding");
  if (encoding && !encoding->empty() && !equals_ignoring_case(*encoding, "identity")) {
    return nonsense(digest, fmt::format("Content-Encoding {} although identity was asked for", *encoding));
  }
  const auto named = oci::Digest::parse(info.headers.get("docker-content-digest").value_or(""));
  // Another algorithm's name for the same bytes is no contradiction.
  if (named && named->algorithm() == digest.algorithm() && *named != digest) {
    return nonsense(digest, fmt::format("the digest {}", named->to_string()));
  }
  cache::SourceHead head{.size = std::nullopt,
                         .content_type = std::string(content_type),
                         .takes_ranges = !info.headers.has_token("accept-ranges", "none")};
  if (info.status == 206) {
    auto part = net::parse_content_range(info.headers.get("content-range").value_or(""));
    if (!part) return std::unexpected(part.error());
    if (part->size) head.size = Bytes{*part->size};
    if (part->range) head.begin = part->range->begin;
  } else if (info.content_length) {
    head.size = Bytes{*info.content_length};
  }
  return head;
}

/// Whether an answer is what was asked for: the whole where it is no part, else a part that begins there, and
/// in either case of content of the size that was told before.
Result<void> check_range(const net::ResponseInfo& info, const oci::Digest& digest,
                         const cache::SourceRange& wanted) {
  const auto head = read_head(info, digest);
  if (!head) return std::unexpected(head.error());
  if (info.status == 206 && !wanted.is_part()) {
    return nonsense(digest, "a part where the whole was asked for");
  }
  if (head->begin != wanted.begin && head->begin != 0) {
    return nonsense(digest, fmt::format("the bytes from {} on where those from {} were asked for",
                                        head->begin, wanted.begin));
  }
  if (wanted.size && head->size && *head->size != *wanted.size) {
    return nonsense(
        digest, fmt::format("a size of {} where it was {} before", head->size->count, wanted.size->count));
  }
  return {};
}

/// A 2xx says something about this content only if it names its digest or its size: a portal's page does
/// neither.
bool has_evidence(const net::ResponseInfo& info) {
  return info.content_length || oci::Digest::parse(info.headers.get("docker-content-digest").value_or(""));
}

/// A registry that may have no answer to a HEAD, and one to a GET. Where a redirect's target refused, its
/// address may be signed for a GET alone.
bool may_lack_head(const Error& error) {
  const UpstreamAnswer* answer = error.answer();
  if (answer == nullptr) return error.code() == ErrorCode::kStatus;
  return answer->status == 400 || answer->status == 404 || answer->status == 405 || answer->status == 501;
}

class ContentStream final : public cache::SourceStream {
 public:
  ContentStream(Response response, cache::SourceHead head)
      : response_(std::move(response)), head_(std::move(head)) {}

  const cache::SourceHead& head() const override { return head_; }
  net::Task<Result<std::size_t>> read(std::span<std::byte> into, Deadline deadline) override {
    auto n = co_await response_.read(into, deadline);
    if (!n) Client::note_break(*response_.endpoint(), n.error());
    co_return n;
  }
  net::Task<bool> has_more_by(Deadline deadline) override { return response_.has_more_by(deadline); }

 private:
  Response response_;
  cache::SourceHead head_;
};

class ContentSource final : public cache::Source {
 public:
  ContentSource(Client& client, Query query, oci::Digest digest)
      : client_(client), query_(std::move(query)), digest_(digest) {
    query_.is_by_digest = true;
  }

  net::Task<Result<cache::SourceHead>> confirm(cache::Fallback fallback, std::optional<Bytes> stored,
                                               Deadline deadline) override {
    Query query = query_;
    query.is_head = true;
    query.has_fallback = fallback == cache::Fallback::kStored;
    query.vet = [digest = digest_](const net::ResponseInfo& info) -> Result<void> {
      const auto head = read_head(info, digest);
      if (!head) return std::unexpected(head.error());
      return {};
    };
    auto response = co_await client_.send(std::move(query), deadline);
    if (!response) {
      if (!may_lack_head(response.error())) co_return std::unexpected(response.error());
      co_return co_await confirm_by_get(fallback, stored, deadline);
    }
    auto head = read_head(response->info(), digest_);
    if (has_evidence(response->info()) && head->fits(stored)) co_return head;
    // The GET may have to wait for the connection that this has.
    co_await response->discard_rest(deadline);
    co_return co_await confirm_by_get(fallback, stored, deadline);
  }

  net::Task<Result<std::unique_ptr<cache::SourceStream>>> open(cache::SourceRange range,
                                                               Deadline deadline) override {
    Query query = query_;
    if (range.is_part()) query.range = net::format_range(range.begin, range.end);
    query.is_extra = range.is_extra;
    if (query.prefetch && query.prefetch->is_asked()) {  // it is a client's now
      query.prefetch.reset();
      query.has_fallback = false;
    }
    query.vet = [digest = digest_, range](const net::ResponseInfo& info) {
      return check_range(info, digest, range);
    };
    auto response = co_await client_.send(std::move(query), deadline);
    if (!response) co_return std::unexpected(response.error());
    givers_.insert(response->endpoint());
    auto head = read_head(response->info(), digest_);
    std::unique_ptr<cache::SourceStream> stream =
        std::make_unique<ContentStream>(std::move(*response), std::move(*head));
    co_return std::move(stream);
  }

  bool blame() override {
    bool had_mirror_part = false;
    for (const auto& giver : givers_) {
      if (!giver->is_mirror()) continue;
      had_mirror_part = true;
      giver->health().note_wrong(query_.path);
    }
    givers_.clear();
    return !had_mirror_part;
  }

 private:
  // Some registries answer no HEAD, or not before their first GET, or give a wrong size: the first byte then
  // proves the same.
  net::Task<Result<cache::SourceHead>> confirm_by_get(cache::Fallback fallback, std::optional<Bytes> stored,
                                                      Deadline deadline) {
    Query query = query_;
    query.has_fallback = fallback == cache::Fallback::kStored;
    query.range = net::format_range(0, 1);
    query.vet = [digest = digest_, stored](const net::ResponseInfo& info) -> Result<void> {
      const auto head = read_head(info, digest);
      if (!head) return std::unexpected(head.error());
      if (!head->fits(stored)) {
        return nonsense(digest, fmt::format("a size of {} where what is stored has {}", head->size->count,
                                            stored->count));
      }
      if (head->size || has_evidence(info)) return {};
      return nonsense(digest, "neither its digest nor its size");
    };
    auto response = co_await client_.send(std::move(query), deadline);
    if (!response) co_return std::unexpected(response.error());
    co_return read_head(response->info(), digest_);
  }

  Client& client_;
  Query query_;
  oci::Digest digest_;
  std::set<std::shared_ptr<const Endpoint>> givers_;  // whose bytes its streams brought
};

}  // namespace

std::shared_ptr<cache::Source> make_content_source(Client& client, Query query, oci::Digest digest) {
  return std::make_shared<ContentSource>(client, std::move(query), digest);
}

}  // namespace layover::upstream
