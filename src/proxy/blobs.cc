// One blob's way: open it in the cache (hit, joined or a new download), answer, send what is readable as
// it becomes so.
#include "proxy/blobs.h"

#include <string>
#include <utility>

#include "base/random.h"
#include "net/range.h"
#include "proxy/body_sender.h"
#include "proxy/conditions.h"
#include "proxy/multipart.h"
#include "proxy/prefetch.h"
#include "upstream/content_source.h"

namespace layover::proxy {

namespace {

constexpr std::string_view kBlobType = "application/octet-stream";

/// `exchange` and `target` outlive the request made of them.
cache::ContentRequest content_request(Exchange& exchange, const Target& target) {
  const oci::Digest& digest = *target.reference.digest();
  return {.scope = target.scope,
          .digest = digest,
          .kind = cache::ContentKind::kBlob,
          .times = &target.registry->settings().times,
          .streams = target.registry->streams(),
          .source =
              [&exchange, &target] {
                const oci::Digest& wanted = *target.reference.digest();
                upstream::Query query = make_query(exchange, target.registry, target.scope,
                                                   metrics::Kind::kBlob, "blobs/" + wanted.to_string());
                return upstream::make_content_source(exchange.context().client, std::move(query), wanted);
              },
          .tag = std::nullopt};
}

net::ResponseHead blob_head(Exchange& exchange, const oci::Digest& digest, int status,
                            metrics::CacheResult how, std::string_view type = kBlobType) {
  net::ResponseHead head = exchange.begin(status, how);
  head.add("Content-Type", type);
  add_digest(head, digest);
  head.add("Accept-Ranges", "bytes");
  return head;
}

net::Task<void> describe_blob(Exchange& exchange, const Target& target, Deadline deadline) {
  auto described = co_await exchange.context().cache.describe(content_request(exchange, target), deadline);
  if (!described) {
    co_await exchange.fail(described.error());
    co_return;
  }
  const oci::Digest& digest = *target.reference.digest();
  if (is_known_to_client(exchange.request(), digest)) {
    co_await send_not_modified(exchange, digest, described->how);
    co_return;
  }
  net::ResponseHead head = blob_head(exchange, digest, 200, described->how);
  if (described->size) head.add("Content-Length", described->size->count);
  co_await exchange.send_head(std::move(head), false);
}

/// What the request gets of content of `size` bytes; If-Range counts only if it names this very content.
net::ResolvedRange requested_range(const net::HttpRequest& request, const oci::Digest& digest,
                                   std::uint64_t size) {
  const auto condition = request.headers.get("if-range");
  // Range is no list: of two of them nobody knows which is meant.
  const bool is_ignored =
      (condition && *condition != entity_tag(digest)) || request.headers.count("range") != 1;
  return net::resolve(is_ignored ? net::RangeRequest() : net::parse_range(*request.headers.get("range")),
                      size);
}

net::Task<void> send_unsatisfiable(Exchange& exchange, const oci::Digest& digest, metrics::CacheResult how,
                                   std::uint64_t size) {
  net::ResponseHead head = blob_head(exchange, digest, 416, how);
  head.add("Content-Range", net::format_unsatisfied_range(size));
  co_await exchange.send(std::move(head), {});
}

/// `bytes` outlive the task.
net::Task<void> send_from_memory(Exchange& exchange, const oci::Digest& digest, metrics::CacheResult how,
                                 std::string_view bytes) {
  auto part = requested_range(exchange.request(), digest, bytes.size());
  if (part.kind == net::ResolvedRange::Kind::kUnsatisfiable) {
    co_await send_unsatisfiable(exchange, digest, how, bytes.size());
    co_return;
  }
  if (part.kind == net::ResolvedRange::Kind::kParts) {
    const Multipart multipart(std::move(part.parts), bytes.size(), kBlobType, Random::system());
    net::ResponseHead head = blob_head(exchange, digest, 206, how, multipart.content_type());
    co_await exchange.send(std::move(head), join_parts(multipart, bytes));
    co_return;
  }
  const bool is_part = part.kind == net::ResolvedRange::Kind::kPart;
  net::ResponseHead head = blob_head(exchange, digest, is_part ? 206 : 200, how);
  if (is_part) head.add("Content-Range", net::format_content_range(part.range, bytes.size()));
  co_await exchange.send(std::move(head), bytes.substr(part.range.begin, part.range.length()));
}

/// Short of the body's end. What the disk does not give is looked into, or it would be so for ever.
void break_off(Exchange& exchange, const oci::Digest& digest, const Error& error) {
  if (error.source() == ErrorSource::kDisk && error.code() == ErrorCode::kIo) {
    exchange.context().cache.note_unreadable(digest);
  }
  exchange.break_off(error);
}

net::Task<void> send_multipart(Exchange& exchange, const oci::Digest& digest, metrics::CacheResult how,
                               cache::Reader& reader, Multipart multipart) {
  net::ResponseHead head = blob_head(exchange, digest, 206, how, multipart.content_type());
  head.add("Content-Length", multipart.length());
  const bool is_there = co_await exchange.send_head(std::move(head), true);
  if (!is_there) co_return;
  auto sent = co_await send_parts(exchange, reader, multipart);
  if (!sent) break_off(exchange, digest, sent.error());
}

net::Task<void> send_sized(Exchange& exchange, const oci::Digest& digest, metrics::CacheResult how,
                           cache::Reader& reader, std::uint64_t size) {
  auto part = requested_range(exchange.request(), digest, size);
  if (part.kind == net::ResolvedRange::Kind::kUnsatisfiable) {
    co_await send_unsatisfiable(exchange, digest, how, size);
    co_return;
  }
  // Each part could cost a request upstream, and some of those the whole content: all of it costs less.
  if (part.kind == net::ResolvedRange::Kind::kParts && reader.is_on_its_own())
    part = {.kind = net::ResolvedRange::Kind::kWhole, .range = {.begin = 0, .end = size}};
  if (part.kind == net::ResolvedRange::Kind::kParts) {
    Multipart multipart(std::move(part.parts), size, kBlobType, Random::system());
    co_await send_multipart(exchange, digest, how, reader, std::move(multipart));
    co_return;
  }
  const bool is_part = part.kind == net::ResolvedRange::Kind::kPart;
  net::ResponseHead head = blob_head(exchange, digest, is_part ? 206 : 200, how);
  if (is_part) head.add("Content-Range", net::format_content_range(part.range, size));
  head.add("Content-Length", part.range.length());
  // containerd 2 asks for each chunk of a layer up to the layer's end, and closes after the chunk.
  if (is_part && part.range.end == size) exchange.expect_early_end();
  // The head waits for the first bytes only where they are there already.
  const bool has_bytes = !part.range.empty() && reader.has_byte_at(part.range.begin);
  const bool is_there = co_await exchange.send_head(std::move(head), has_bytes);
  if (!is_there) co_return;
  auto sent = co_await send_range(exchange, reader, part.range);
  if (!sent) break_off(exchange, digest, sent.error());
}

net::Task<void> send_unsized(Exchange& exchange, const oci::Digest& digest, metrics::CacheResult how,
                             cache::Reader& reader) {
  net::ResponseHead head = blob_head(exchange, digest, 200, how);
  head.add("Transfer-Encoding", "chunked");
  const bool is_there = co_await exchange.send_head(std::move(head), false);
  if (!is_there) co_return;
  auto sent = co_await send_chunked(exchange, reader);
  if (!sent) break_off(exchange, digest, sent.error());
}

/// Whether nothing may be answered before the whole content is verified: small content, and where the
/// size has to be known and upstream does not say it.
bool must_verify_first(const net::HttpRequest& request, std::optional<Bytes> size) {
  if (size) return *size <= cache::kVerifiedFirst;
  return request.is_http_1_0 || request.headers.count("range") > 0;
}

/// An error: nothing has been sent.
net::Task<Result<void>> answer(Exchange& exchange, const Target& target, Deadline deadline) {
  const oci::Digest digest = *target.reference.digest();
  exchange.context().prefetcher.note_blob(exchange, target, digest);
  const bool is_new_to_client = !is_known_to_client(exchange.request(), digest);
  if (is_new_to_client) {
    // Most requests for small content end here, without any task that could wait.
    const auto small = exchange.context().cache.use_small(target.scope, digest, cache::ContentKind::kBlob,
                                                          target.registry->settings().times);
    if (small) {
      co_await send_from_memory(exchange, digest, metrics::CacheResult::kHit, *small->bytes());
      co_return Result<void>{};
    }
  }
  auto opened = co_await exchange.context().cache.open(content_request(exchange, target), deadline);
  if (!opened) co_return std::unexpected(opened.error());
  if (!is_new_to_client) {
    co_await send_not_modified(exchange, digest, opened->how);
    co_return Result<void>{};
  }
  if (opened->small) {
    co_await send_from_memory(exchange, digest, opened->how, *opened->small->bytes());
    co_return Result<void>{};
  }
  cache::Reader& reader = *opened->reader;
  if (must_verify_first(exchange.request(), reader.size())) {
    auto verified = co_await reader.wait_until_verified(reader.size() ? deadline : Deadline::never());
    if (!verified) co_return std::unexpected(verified.error());
    if (const std::string* whole = reader.whole()) {
      auto held = exchange.hold_in_memory(Bytes{whole->size()});
      if (!held) co_return held;
      co_await send_from_memory(exchange, digest, metrics::CacheResult::kBypass, *whole);
      co_return Result<void>{};
    }
  }
  const auto size = reader.size();
  if (size) {
    co_await send_sized(exchange, digest, opened->how, reader, size->count);
  } else {
    co_await send_unsized(exchange, digest, opened->how, reader);
  }
  co_return Result<void>{};
}

}  // namespace

net::Task<void> serve_blob(Exchange& exchange, Target target) {
  const auto deadline = Deadline::after(target.registry->settings().times.first_byte_budget);
  if (exchange.is_head()) {
    co_await describe_blob(exchange, target, deadline);
    co_return;
  }
  auto answered = co_await answer(exchange, target, deadline);
  if (!answered && is_led_elsewhere(target, answered.error())) {
    answered = co_await answer(exchange, target, deadline);
  }
  if (!answered) co_await exchange.fail(answered.error());
}

}  // namespace layover::proxy
