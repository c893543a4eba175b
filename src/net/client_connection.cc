// llhttp reads heads and chunked bodies; a body of known or open-ended length goes from the socket
// straight into the reader's buffer.
#include "net/client_connection.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include <fmt/format.h>

#include "base/ascii.h"

namespace layover::net {

namespace {

constexpr std::size_t kMaxHeadBytes = std::size_t{64} << 10;
constexpr std::size_t kReadBytes = std::size_t{16} << 10;

std::unexpected<Error> protocol_failure(std::string message) {
  return failure(ErrorCode::kProtocol, ErrorSource::kUpstream, std::move(message));
}

}  // namespace

struct ClientConnection::Parse {
  enum class Body { kNone, kLength, kUntilClose, kChunked };

  llhttp_t parser{};
  ResponseInfo info;
  std::string field_name;
  std::string field_value;
  std::string pending;  // body bytes that came with the head, or out of chunks
  std::size_t head_bytes = 0;
  std::size_t framing_bytes = 0;  // of a chunked body, since its last byte: extensions and trailers
  bool is_head_request = false;
  bool is_head_complete = false;
  bool is_message_complete = false;
  bool has_answer_begun = false;
  bool has_extra_bytes = false;
  Body body = Body::kNone;
  std::uint64_t remaining = 0;  // for kLength: not yet given to the reader
  bool keep_alive = false;
  std::optional<Error> body_failure;  // of what came with the head

  Parse() { start(false); }
  void start(bool head_request);
  Result<void> feed(std::string_view bytes);
  /// RFC 9110 15: 100 to 599.
  bool has_sound_head() const {
    return is_head_complete && parser.status_code >= 100 && parser.status_code <= 599;
  }
  int on_headers();
  static const llhttp_settings_t& callbacks();
};

void ClientConnection::Parse::start(bool head_request) {
  llhttp_init(&parser, HTTP_RESPONSE, &callbacks());
  parser.data = this;
  info = {};
  field_name.clear();
  field_value.clear();
  pending.clear();
  head_bytes = framing_bytes = 0;
  is_head_request = head_request;
  is_head_complete = is_message_complete = has_answer_begun = has_extra_bytes = keep_alive = false;
  body = Body::kNone;
  remaining = 0;
  body_failure.reset();
}

const llhttp_settings_t& ClientConnection::Parse::callbacks() {
  static const llhttp_settings_t settings = [] {
    llhttp_settings_t s;
    llhttp_settings_init(&s);
    s.on_header_field = [](llhttp_t* p, const char* at, std::size_t n) {
      static_cast<Parse*>(p->data)->field_name.append(at, n);
      return 0;
    };
    s.on_header_value = [](llhttp_t* p, const char* at, std::size_t n) {
      static_cast<Parse*>(p->data)->field_value.append(at, n);
      return 0;
    };
    s.on_header_value_complete = [](llhttp_t* p) {
      auto& self = *static_cast<Parse*>(p->data);
      if (!self.is_head_complete) self.info.headers.add(self.field_name, trim(self.field_value));
      self.field_name.clear();
      self.field_value.clear();
      return 0;
    };
    s.on_headers_complete = [](llhttp_t* p) { return static_cast<Parse*>(p->data)->on_headers(); };
    s.on_body = [](llhttp_t* p, const char* at, std::size_t n) {
      static_cast<Parse*>(p->data)->pending.append(at, n);
      return 0;
    };
    s.on_message_complete = [](llhttp_t* p) {
      auto& self = *static_cast<Parse*>(p->data);
      if (!self.is_head_complete) return 0;  // an interim answer
      self.is_message_complete = true;
      return static_cast<int>(HPE_PAUSED);
    };
    return s;
  }();
  return settings;
}

int ClientConnection::Parse::on_headers() {
  constexpr int kHasNoBody = 1;
  const int status = parser.status_code;
  if (status >= 100 && status < 200 && status != 101) {
    info = {};
    return kHasNoBody;  // RFC 9110 15.2, whatever its fields say
  }
  is_head_complete = true;
  info.status = status;
  keep_alive = llhttp_should_keep_alive(&parser) != 0;
  const bool has_length = (parser.flags & F_CONTENT_LENGTH) != 0;
  const bool is_chunked = (parser.flags & F_CHUNKED) != 0;
  if (has_length && !is_chunked) info.content_length = parser.content_length;
  if (is_head_request || status == 204 || status == 304 || status == 101) {
    if (!is_head_request) info.content_length = 0;
    return kHasNoBody;
  }
  if (is_chunked) {
    body = Body::kChunked;
  } else if (has_length) {
    body = Body::kLength;
    remaining = parser.content_length;
  } else {
    body = Body::kUntilClose;
    keep_alive = false;
  }
  return 0;
}

Result<void> ClientConnection::Parse::feed(std::string_view bytes) {
  has_answer_begun = has_answer_begun || !bytes.empty();
  const std::size_t had = pending.size();
  const llhttp_errno_t code = llhttp_execute(&parser, bytes.data(), bytes.size());
  if (is_head_complete && !has_sound_head()) {
    return protocol_failure(
        fmt::format("upstream answered with status {}, which is none of HTTP", parser.status_code));
  }
  if (code == HPE_PAUSED || code == HPE_PAUSED_UPGRADE) {
    const char* position = llhttp_get_error_pos(&parser);
    has_extra_bytes = position != nullptr && position != bytes.data() + bytes.size();
    return {};
  }
  if (code != HPE_OK) {
    const char* reason = llhttp_get_error_reason(&parser);
    return protocol_failure(
        fmt::format("upstream does not speak HTTP/1.1: {}",
                    reason != nullptr && *reason != '\0' ? reason : llhttp_errno_name(code)));
  }
  framing_bytes = is_head_complete && pending.size() == had ? framing_bytes + bytes.size() : 0;
  if (framing_bytes > kMaxHeadBytes)
    return protocol_failure("upstream's chunk extensions or trailers are too large");
  if (!is_head_complete) {
    head_bytes += bytes.size();
    if (head_bytes > kMaxHeadBytes) return protocol_failure("upstream's header fields are too large");
  }
  return {};
}

ClientConnection::ClientConnection(Connection connection)
    : connection_(std::move(connection)), parse_(std::make_unique<Parse>()) {}
ClientConnection::ClientConnection(ClientConnection&&) noexcept = default;
ClientConnection& ClientConnection::operator=(ClientConnection&&) noexcept = default;
ClientConnection::~ClientConnection() = default;

Task<Result<void>> ClientConnection::send(std::string head, bool is_head_request, Deadline deadline) {
  parse_->start(is_head_request);
  const auto patience =
      deadline.is_never()
          ? std::chrono::hours(1)
          : std::chrono::ceil<std::chrono::milliseconds>(deadline.instant() - Deadline::Clock::now());
  co_return co_await connection_.write(head, std::max(patience, std::chrono::milliseconds(0)));
}

Task<Result<ResponseInfo>> ClientConnection::read_head(Deadline deadline) {
  std::array<std::byte, kReadBytes> chunk;  // NOLINT(*-member-init): filled by read
  while (!parse_->is_head_complete) {
    auto n = co_await connection_.read(chunk, deadline);
    if (!n) co_return std::unexpected(n.error());
    if (*n == 0) {
      co_return failure(ErrorCode::kClosed, ErrorSource::kUpstream,
                        "upstream closed the connection without an answer");
    }
    auto fed = parse_->feed({reinterpret_cast<const char*>(chunk.data()), *n});
    if (fed) continue;
    // What is wrong with the body is told when that is read, however both came.
    if (!parse_->has_sound_head()) co_return std::unexpected(fed.error());
    parse_->body_failure = std::move(fed.error());
  }
  co_return std::move(parse_->info);
}

Task<Result<std::size_t>> ClientConnection::read_body(std::span<std::byte> into, Deadline deadline) {
  Parse& parse = *parse_;
  if (!parse.pending.empty()) {
    const std::size_t n = std::min(into.size(), parse.pending.size());
    std::memcpy(into.data(), parse.pending.data(), n);
    parse.pending.erase(0, n);
    if (parse.body == Parse::Body::kLength) parse.remaining -= n;
    co_return n;
  }
  if (parse.body_failure) co_return std::unexpected(*parse.body_failure);
  if (parse.is_message_complete || parse.body == Parse::Body::kNone) co_return std::size_t{0};
  if (parse.body == Parse::Body::kChunked) co_return co_await read_parsed(into, deadline);
  co_return co_await read_direct(into, deadline);
}

Task<bool> ClientConnection::has_body_by(Deadline deadline) {
  const bool is_at_end = parse_->is_message_complete || parse_->body == Parse::Body::kNone;
  if (!parse_->pending.empty() || is_at_end) co_return true;
  co_return co_await connection_.has_input_by(deadline);
}

Task<Result<std::size_t>> ClientConnection::read_direct(std::span<std::byte> into, Deadline deadline) {
  Parse& parse = *parse_;
  const bool has_length = parse.body == Parse::Body::kLength;
  if (has_length && parse.remaining == 0) {
    parse.is_message_complete = true;
    co_return std::size_t{0};
  }
  if (has_length) into = into.first(std::min<std::uint64_t>(into.size(), parse.remaining));
  auto n = co_await connection_.read(into, deadline);
  if (!n) co_return n;
  if (has_length) {
    if (*n == 0) {
      co_return failure(
          ErrorCode::kShortBody, ErrorSource::kUpstream,
          fmt::format("upstream closed the connection {} bytes before the body's end", parse.remaining));
    }
    parse.remaining -= *n;
    parse.is_message_complete = parse.remaining == 0;
  } else if (*n == 0) {
    parse.is_message_complete = true;
  }
  co_return n;
}

Task<Result<std::size_t>> ClientConnection::read_parsed(std::span<std::byte> into, Deadline deadline) {
  Parse& parse = *parse_;
  std::vector<std::byte> chunk(kReadBytes);
  while (parse.pending.empty() && !parse.is_message_complete) {
    auto n = co_await connection_.read(chunk, deadline);
    if (!n) co_return n;
    if (*n == 0) {
      co_return failure(ErrorCode::kShortBody, ErrorSource::kUpstream,
                        "upstream closed the connection in the middle of a chunked body");
    }
    auto fed = parse.feed({reinterpret_cast<const char*>(chunk.data()), *n});
    if (!fed) co_return std::unexpected(fed.error());
  }
  const std::size_t n = std::min(into.size(), parse.pending.size());
  std::memcpy(into.data(), parse.pending.data(), n);
  parse.pending.erase(0, n);
  co_return n;
}

bool ClientConnection::is_reusable() const {
  return parse_->is_message_complete && parse_->pending.empty() && parse_->keep_alive &&
         !parse_->has_extra_bytes && connection_.is_quiet();
}

bool ClientConnection::ended_before_answer() const { return !parse_->has_answer_begun; }

}  // namespace layover::net
