// The server side of one HTTP/1.1 connection: requests in order, and the means to answer them.
#pragma once

#include <chrono>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "net/connection.h"
#include "net/ip_address.h"
#include "net/request_parser.h"
#include "net/response_head.h"

namespace layover::net {

struct ServerLimits {
  std::chrono::milliseconds header_timeout;  // from a request's first byte to the end of its head
  std::chrono::milliseconds send_timeout;    // without the client taking a byte
  std::chrono::milliseconds keep_alive;      // idle between requests
  Bytes max_header_bytes;
};

/// Owned by the task that serves the connection; lives on its loop.
class ServerConnection {
 public:
  /// `client` is the peer's address; nothing where it has none.
  ServerConnection(Connection connection, ServerLimits limits, std::optional<IpAddress> client = {})
      : connection_(std::move(connection)),
        limits_(limits),
        client_(client),
        parser_(limits.max_header_bytes) {}

  const std::optional<IpAddress>& client() const { return client_; }

  /// The next request, valid until the next call; null where the client has ended or fallen silent
  /// between requests. Gives the loop a turn between requests that came at once. After a fault nothing more
  /// can be read. Bodies are discarded: small ones here, larger ones by ending the connection after the
  /// answer.
  Task<std::expected<const HttpRequest*, RequestFault>> read_request();
  /// When the first byte of the request that was read last, or could not be, was seen.
  Deadline::Clock::time_point request_began() const {
    return request_due_.instant() - limits_.header_timeout;
  }

  /// Sends an answer's head and as much of its body as is in memory, in one call where the socket
  /// takes it. With `more`, a file follows.
  Task<Result<void>> send(std::string_view head, std::string_view body, bool more = false);
  Task<Result<void>> send_file(int fd, ByteRange range, std::uint64_t* progress);

  /// True where another request may follow this one.
  bool can_reuse() const { return may_reuse_; }
  void end_after_this() { may_reuse_ = false; }
  /// What the client cannot know of whether its connection goes on after this answer (RFC 9112 9.3).
  void add_persistence(ResponseHead& head) const;
  Task<void> close_orderly();

 private:
  std::expected<RequestParser::Progress, RequestFault> read_more();
  bool must_not_wait_for_body() const;

  Connection connection_;
  ServerLimits limits_;
  std::optional<IpAddress> client_;
  RequestParser parser_;
  Deadline request_due_ = Deadline::never();  // once it has begun: header_timeout later
  bool is_first_ = true;
  bool may_reuse_ = true;
};

}  // namespace layover::net
