// Reading requests with their time limits, and writing answers.
#include "net/server_connection.h"

#include <array>

#include "net/wait.h"

namespace layover::net {

namespace {

/// Bodies have no business here (pushes are refused); what is small is read so that the connection can
/// go on.
constexpr std::size_t kMaxDiscardedBody = std::size_t{64} << 10;
constexpr std::chrono::seconds kLinger{2};

/// The client has gone, or never said anything: there is nobody to answer.
constexpr int kNobodyThere = 0;

}  // namespace

// Takes what has come by way of the stack: a connection that waits holds no buffer.
std::expected<RequestParser::Progress, RequestFault> ServerConnection::read_more() {
  std::array<std::byte, 8192> chunk;  // NOLINT(*-member-init): filled by read_now
  auto n = connection_.read_now(chunk);
  if (!n || *n == 0U) return std::unexpected(RequestFault{.status = kNobodyThere, .message = {}});
  return parser_.feed({reinterpret_cast<const char*>(chunk.data()), n->value_or(0)});
}

Task<std::expected<const HttpRequest*, RequestFault>> ServerConnection::read_request() {
  RequestParser::Progress progress = is_first_ ? RequestParser::Progress::kNeedHead : parser_.next();
  // Whoever sends many requests at once takes turns with the others.
  bool has_begun = !parser_.is_empty();
  if (has_begun) co_await next_turn();
  const auto patience = is_first_ ? limits_.header_timeout : limits_.keep_alive;
  request_due_ = Deadline::after(has_begun ? limits_.header_timeout : patience);
  for (;;) {
    if (progress == RequestParser::Progress::kFault) co_return std::unexpected(parser_.fault());
    if (progress == RequestParser::Progress::kComplete) break;
    if (progress == RequestParser::Progress::kNeedBody && must_not_wait_for_body()) {
      may_reuse_ = false;
      break;
    }
    auto ready = co_await connection_.wait_readable(request_due_);
    if (!ready && !has_begun) co_return nullptr;
    if (!ready) {
      co_return std::unexpected(RequestFault{.status = 408, .message = "the request did not arrive in time"});
    }
    auto more = read_more();
    if (!more) {
      if (more.error().status == kNobodyThere) co_return nullptr;
      co_return std::unexpected(more.error());
    }
    progress = *more;
    // An empty line is none of a request's (RFC 9112 2.2).
    const bool begins = !has_begun && (!parser_.is_empty() || progress != RequestParser::Progress::kNeedHead);
    if (begins) request_due_ = Deadline::after(limits_.header_timeout);
    has_begun = has_begun || begins;
  }
  is_first_ = false;
  if (!parser_.request().keep_alive) may_reuse_ = false;
  co_return &parser_.request();
}

// RFC 9110 10.1.1: a client that expects 100 waits for our verdict before it sends the body.
bool ServerConnection::must_not_wait_for_body() const {
  return parser_.request().headers.count("expect") > 0 || parser_.body_bytes() > kMaxDiscardedBody;
}

void ServerConnection::add_persistence(ResponseHead& head) const {
  if (!may_reuse_) {
    head.add("Connection", "close");
  } else if (parser_.request().is_http_1_0) {
    head.add("Connection", "keep-alive");
  }
}

Task<Result<void>> ServerConnection::send(std::string_view head, std::string_view body, bool more) {
  if (!connection_.is_tls()) {
    auto n = connection_.write_now(head, body, more);
    if (!n) co_return std::unexpected(n.error());
    if (*n == head.size() + body.size()) co_return Result<void>{};
    if (*n >= head.size()) {
      body.remove_prefix(*n - head.size());
      head = {};
    } else {
      head.remove_prefix(*n);
    }
  }
  auto sent = co_await connection_.write(head, limits_.send_timeout);
  if (!sent || body.empty()) co_return sent;
  co_return co_await connection_.write(body, limits_.send_timeout);
}

Task<Result<void>> ServerConnection::send_file(int fd, ByteRange range, std::uint64_t* progress) {
  return connection_.send_file(fd, range, limits_.send_timeout, progress);
}

Task<void> ServerConnection::close_orderly() { return connection_.close_orderly(Deadline::after(kLinger)); }

}  // namespace layover::net
