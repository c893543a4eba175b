// Building the request and reading the answer.
#include "upstream/exchange.h"

#include <cstdint>
#include <iterator>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/ascii.h"
#include "metrics/labels.h"

namespace layover::upstream {

namespace {

constexpr Bytes kDiscarded = 64_KiB;
constexpr std::chrono::milliseconds kDiscardTime{250};

std::string request_head(const RequestSpec& spec) {
  std::string head;
  // Blobs are stored as they are named: a coded body would have another digest.
  fmt::format_to(std::back_inserter(head),
                 "{} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: layover\r\nAccept-Encoding: identity\r\n",
                 spec.is_head ? "HEAD" : "GET", spec.url.target, spec.url.authority());
  for (const std::string& accept : spec.accept) {
    fmt::format_to(std::back_inserter(head), "Accept: {}\r\n", accept);
  }
  if (!spec.authorization.empty()) {
    fmt::format_to(std::back_inserter(head), "Authorization: {}\r\n", spec.authorization);
  }
  if (!spec.range.empty()) fmt::format_to(std::back_inserter(head), "Range: {}\r\n", spec.range);
  if (!spec.if_none_match.empty()) {
    fmt::format_to(std::back_inserter(head), "If-None-Match: {}\r\n", spec.if_none_match);
  }
  if (!spec.cdn_loop.empty()) fmt::format_to(std::back_inserter(head), "CDN-Loop: {}\r\n", spec.cdn_loop);
  head += "\r\n";
  return head;
}

/// "RateLimit-Remaining: 76;w=21600", as Docker Hub sends it; other registries put a bare number there.
void note_ratelimit(const net::ResponseInfo& info, metrics::RegistryLabel registry,
                    const metrics::Metrics& metrics) {
  const std::string_view value = info.headers.get("ratelimit-remaining").value_or("");
  const auto requests = parse_decimal<std::uint32_t>(trim(value.substr(0, value.find(';'))));
  if (requests) metrics.note_ratelimit_remaining(registry, *requests);
}

net::Task<Result<net::ResponseInfo>> ask(net::ClientConnection& connection, std::string head, bool is_head,
                                         Deadline deadline) {
  auto sent = co_await connection.send(std::move(head), is_head, deadline);
  if (!sent) co_return std::unexpected(sent.error());
  co_return co_await connection.read_head(deadline);
}

}  // namespace

net::Task<Result<Response>> exchange(ConnectionPool& pool, std::shared_ptr<const Endpoint> endpoint,
                                     metrics::Metrics& metrics, RequestSpec spec, Deadline deadline) {
  const auto started = Deadline::Clock::now();
  std::optional<Error> error;
  for (const bool fresh : {false, true}) {
    auto lease = co_await pool.take(endpoint, spec.url, spec.purpose, fresh, spec.prefetch, deadline);
    if (!lease) {
      const bool gives_way = spec.prefetch && lease.error().code() == ErrorCode::kCancelled;
      if (gives_way) co_return std::unexpected(lease.error());
      error = lease.error();
      break;
    }
    const auto limit = earlier(deadline, Deadline::after(endpoint->times().response_timeout));
    auto info = co_await ask(lease->connection(), request_head(spec), spec.is_head, limit);
    if (info) {
      metrics.upstream_requests(endpoint->label(), spec.kind, info->status).add();
      // The answers of mirrors, redirects' targets and token services have limits of their own.
      if (!endpoint->is_mirror() && net::same_origin(spec.url, endpoint->url()))
        note_ratelimit(*info, endpoint->label(), metrics);
      co_return Response(pool, std::move(*lease), std::move(*info), spec, endpoint, metrics, started);
    }
    error = info.error();
    if (!lease->is_reused()) break;
    const bool has_begun = !lease->connection().ended_before_answer();
    // A connection may have died without a word, and those that waited with it.
    if (!has_begun && error->code() == ErrorCode::kTimeout) pool.close_idle_of(lease->key());
    // What makes no sense may be the late end of an earlier answer.
    const bool was_stale = has_begun
                               ? error->code() == ErrorCode::kProtocol
                               : error->code() == ErrorCode::kReset || error->code() == ErrorCode::kClosed;
    if (!was_stale) break;
  }
  // Our own limits say nothing of the registry.
  if (error->source() == ErrorSource::kUpstream)
    metrics.upstream_errors(endpoint->label(), metrics::reason_of(*error)).add();
  co_return std::unexpected(error->within(fmt::format("asking {} failed", spec.url.authority())));
}

Response::Response(ConnectionPool& pool, Lease lease, net::ResponseInfo info, const RequestSpec& spec,
                   std::shared_ptr<const Endpoint> endpoint, metrics::Metrics& metrics,
                   Deadline::Clock::time_point started)
    : pool_(&pool),
      lease_(std::move(lease)),
      info_(std::move(info)),
      url_(spec.url),
      endpoint_(std::move(endpoint)),
      metrics_(&metrics),
      kind_(spec.kind),
      started_(started) {}

Response::~Response() {
  if (!endpoint_) return;  // moved from
  note_end();
  let_go();
}

void Response::let_go() {
  if (auto lease = std::exchange(lease_, std::nullopt)) pool_->give_back(std::move(*lease));
}

// Once: what its owner does after the body's end, such as fetching a token, is no part of it.
void Response::note_end() {
  if (has_ended_) return;
  has_ended_ = true;
  metrics_->upstream_request_duration(endpoint_->label(), kind_).observe(Deadline::Clock::now() - started_);
}

net::Task<Result<std::size_t>> Response::read(std::span<std::byte> into, Deadline deadline) {
  const auto limit = earlier(deadline, Deadline::after(endpoint_->times().idle_timeout));
  auto n = co_await lease_->connection().read_body(into, limit);
  note_read(n);
  if (n) co_return n;
  metrics_->upstream_errors(endpoint_->label(), metrics::reason_of(n.error())).add();
  co_return std::unexpected(n.error().within(fmt::format("{} broke off", endpoint_->name())));
}

void Response::note_read(const Result<std::size_t>& n) {
  if (n) metrics_->upstream_received_bytes(endpoint_->label()).add(*n);
  if (!n || *n == 0) note_end();
}

net::Task<void> Response::discard_rest(Deadline deadline) {
  const auto limit = earlier(deadline, Deadline::after(kDiscardTime));
  std::vector<std::byte> chunk(std::size_t{16} << 10);
  for (std::size_t discarded = 0; discarded <= kDiscarded.count;) {
    const auto n = co_await lease_->connection().read_body(chunk, limit);
    note_read(n);
    // Nobody wants these bytes: that they do not come is no error.
    if (!n || *n == 0) break;
    discarded += *n;
  }
  let_go();
}

net::Task<Result<std::string>> Response::read_all(Bytes limit, Deadline deadline) {
  std::string body;
  std::vector<std::byte> chunk(std::size_t{16} << 10);
  for (;;) {
    // A body that stalls leaves time for asking again.
    auto n = co_await read(chunk, share_of(deadline, 2));
    if (!n) co_return std::unexpected(n.error());
    if (*n == 0) co_return body;
    body.append(reinterpret_cast<const char*>(chunk.data()), *n);
    if (body.size() > limit.count) {
      co_return failure(ErrorCode::kTooLarge, ErrorSource::kUpstream,
                        fmt::format("{} sent more than the {} bytes that are allowed here", endpoint_->name(),
                                    limit.count));
    }
  }
}

}  // namespace layover::upstream
