// The client side of one HTTP/1.1 connection: one request at a time, its answer's head, then its body
// piece by piece.
#pragma once

#include <llhttp.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/deadline.h"
#include "base/error.h"
#include "net/connection.h"
#include "net/http_headers.h"
#include "net/task.h"

namespace layover::net {

struct ResponseInfo {
  int status = 0;
  HttpHeaders headers;
  /// The body's size where the answer announces it; nothing for chunked bodies and those that end with
  /// the connection. 0 where there is no body, except that a HEAD's announced length is kept.
  std::optional<std::uint64_t> content_length;
};

/// Owned by one task at a time (the pool in between); lives on its connection's loop. All errors have
/// source kUpstream. After an error the connection is only good for destroying.
class ClientConnection {
 public:
  explicit ClientConnection(Connection connection);
  ClientConnection(ClientConnection&&) noexcept;
  ClientConnection& operator=(ClientConnection&&) noexcept;
  ~ClientConnection();

  /// Sends a request without a body. `head` is the whole head with its closing empty line.
  Task<Result<void>> send(std::string head, bool is_head_request, Deadline deadline);
  /// The final answer's head (1xx are passed over): kProtocol, kTimeout, kReset, kClosed.
  Task<Result<ResponseInfo>> read_head(Deadline deadline);
  /// The next piece of the body, at least one byte; 0 at its complete end. kShortBody where the
  /// connection ends before that.
  Task<Result<std::size_t>> read_body(std::span<std::byte> into, Deadline deadline);

  /// Whether read_body() has something to give by `deadline`: bytes, the end, or a failure.
  Task<bool> has_body_by(Deadline deadline);

  /// True where the answer is complete and the connection may carry another request.
  bool is_reusable() const;
  /// True where the connection failed before a byte of the answer came: a pooled connection that the
  /// server closed at the moment of reuse.
  bool ended_before_answer() const;

 private:
  struct Parse;

  Task<Result<std::size_t>> read_direct(std::span<std::byte> into, Deadline deadline);
  Task<Result<std::size_t>> read_parsed(std::span<std::byte> into, Deadline deadline);

  Connection connection_;
  std::unique_ptr<Parse> parse_;  // apart, since llhttp keeps a pointer to it
};

}  // namespace layover::net
