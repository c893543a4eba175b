// Plain sockets: wait before recv; a short read means drained, a short write means full. TLS: call until
// OpenSSL wants an event, never wait while it has bytes pending.
#include "net/connection.h"

#include <linux/sockios.h>
#include <openssl/err.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <vector>

#include "net/loop.h"
#include "net/wait.h"

namespace layover::net {

namespace {

constexpr std::size_t kSendfileChunk = std::size_t{512} << 10;
/// One connection's share of a loop turn: a fast client must not keep the others waiting.
constexpr std::chrono::microseconds kTurnBudget{500};
/// What a peer may still send after our end before we stop listening.
constexpr std::size_t kLingerBytes = std::size_t{256} << 10;

}  // namespace

std::unexpected<Error> Connection::broken(int system_errno, std::string_view what) const {
  return std::unexpected(system_error(system_errno, peer_, what));
}

Connection::TlsNeed Connection::need_of(int ssl_result) const {
  switch (SSL_get_error(ssl_.get(), ssl_result)) {
    case SSL_ERROR_NONE: return TlsNeed::kNothing;
    case SSL_ERROR_WANT_READ: return TlsNeed::kRead;
    case SSL_ERROR_WANT_WRITE: return TlsNeed::kWrite;
    default: return TlsNeed::kFailed;
  }
}

Task<bool> Connection::has_input_by(Deadline deadline) {
  // read_tls() does not tell that it has drained the socket, which is asked again at no cost.
  const bool has_rest = ssl_ ? SSL_has_pending(ssl_.get()) == 1 : !is_drained_;
  if (has_rest) co_return true;
  auto ready = co_await wait_readable(deadline);
  co_return ready.has_value() || ready.error().code() != ErrorCode::kTimeout;
}

Task<Result<void>> Connection::wait_readable(Deadline deadline) {
  auto ready = co_await socket_.readable(deadline);
  if (!ready) co_return std::unexpected(ready.error().with_source(peer_));
  is_drained_ = false;
  co_return ready;
}

Task<Result<void>> Connection::wait_writable(Deadline deadline) {
  auto ready = co_await socket_.writable(deadline);
  if (!ready) co_return std::unexpected(ready.error().with_source(peer_));
  co_return ready;
}

// The socket is writable again only when a good part of its buffer is free, for which a slow peer may need
// longer: as long as it takes anything, it is waited for.
Task<Result<void>> Connection::wait_for_room(std::chrono::milliseconds patience) {
  int queued = unsent();
  for (;;) {
    auto ready = co_await wait_writable(Deadline::after(patience));
    if (ready) co_return ready;
    const int left = unsent();
    if (left >= queued) co_return ready;
    queued = left;
  }
}

int Connection::unsent() const {
  int bytes = 0;
  return ::ioctl(socket_.fd(), SIOCOUTQ, &bytes) == 0 ? bytes : 0;
}

Task<Result<void>> Connection::wait_for(TlsNeed need, Deadline deadline) {
  auto ready = need == TlsNeed::kRead ? wait_readable(deadline) : wait_writable(deadline);
  co_return co_await std::move(ready);
}

Task<Result<void>> Connection::start_tls(const TlsContext& context, std::string host, Deadline deadline) {
  auto opened = context.open(host, socket_.fd());
  if (!opened) co_return std::unexpected(opened.error());
  ssl_ = std::move(*opened);
  for (;;) {
    ERR_clear_error();
    const TlsNeed need = need_of(SSL_do_handshake(ssl_.get()));
    if (need == TlsNeed::kNothing) co_return Result<void>{};
    if (need == TlsNeed::kFailed) {
      co_return std::unexpected(tls_error(ssl_.get(), peer_, "the TLS handshake with " + host + " failed"));
    }
    auto ready = co_await wait_for(need, deadline);
    if (!ready) co_return std::unexpected(ready.error().within("the TLS handshake with " + host));
  }
}

Result<std::optional<std::size_t>> Connection::read_now(std::span<std::byte> into) {
  for (;;) {
    const ssize_t n = ::recv(socket_.fd(), into.data(), into.size(), 0);
    if (n >= 0) {
      is_drained_ = static_cast<std::size_t>(n) < into.size();
      return static_cast<std::size_t>(n);
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return broken(errno, "reading from the connection");
    is_drained_ = true;
    return std::nullopt;
  }
}

Task<Result<std::size_t>> Connection::read(std::span<std::byte> into, Deadline deadline) {
  if (ssl_) co_return co_await read_tls(into, deadline);
  for (;;) {
    if (is_drained_) {
      auto ready = co_await socket_.readable(deadline);
      if (!ready) co_return std::unexpected(ready.error().with_source(peer_));
    }
    auto n = read_now(into);
    if (!n) co_return std::unexpected(n.error());
    if (*n) co_return **n;
  }
}

Task<Result<std::size_t>> Connection::read_tls(std::span<std::byte> into, Deadline deadline) {
  std::size_t total = 0;
  for (;;) {
    std::size_t n = 0;
    ERR_clear_error();
    const int result = SSL_read_ex(ssl_.get(), into.data() + total, into.size() - total, &n);
    if (result == 1) {
      total += n;
      if (total == into.size()) co_return total;
      continue;
    }
    const TlsNeed need = need_of(result);
    if (total > 0) co_return total;  // a failure shows again at the next read
    if (need == TlsNeed::kFailed) {
      if ((SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0) co_return std::size_t{0};
      co_return failure(ErrorCode::kReset, peer_, "the TLS connection broke");
    }
    auto ready = co_await wait_for(need, deadline);
    if (!ready) co_return std::unexpected(ready.error());
  }
}

Result<std::size_t> Connection::write_now(std::string_view head, std::string_view body, bool more) {
  std::array<iovec, 2> parts{{{.iov_base = const_cast<char*>(head.data()), .iov_len = head.size()},
                              {.iov_base = const_cast<char*>(body.data()), .iov_len = body.size()}}};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = body.empty() ? 1 : 2;
  for (;;) {
    const ssize_t n = ::sendmsg(socket_.fd(), &message, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
    if (n >= 0) return static_cast<std::size_t>(n);
    if (errno == EAGAIN) return std::size_t{0};
    if (errno != EINTR) return broken(errno, "writing to the connection");
  }
}

Task<Result<void>> Connection::write(std::string_view data, std::chrono::milliseconds patience) {
  if (ssl_) co_return co_await write_tls(data, patience);
  while (!data.empty()) {
    auto n = write_now(data, {}, false);
    if (!n) co_return std::unexpected(n.error());
    data.remove_prefix(*n);
    if (data.empty()) break;
    auto ready = co_await wait_for_room(patience);
    if (!ready) co_return std::unexpected(ready.error());
  }
  co_return Result<void>{};
}

Task<Result<void>> Connection::write_tls(std::string_view data, std::chrono::milliseconds patience) {
  while (!data.empty()) {
    std::size_t n = 0;
    ERR_clear_error();
    const int result = SSL_write_ex(ssl_.get(), data.data(), data.size(), &n);
    if (result == 1) {
      data.remove_prefix(n);
      continue;
    }
    const TlsNeed need = need_of(result);
    if (need == TlsNeed::kFailed) co_return failure(ErrorCode::kReset, peer_, "the TLS connection broke");
    auto ready = co_await wait_for(need, Deadline::after(patience));
    if (!ready) co_return std::unexpected(ready.error());
  }
  co_return Result<void>{};
}

Task<Result<void>> Connection::send_file(int fd, ByteRange range, std::chrono::milliseconds patience,
                                         std::uint64_t* progress) {
  while (!range.empty()) {
    off_t offset = static_cast<off_t>(range.begin);
    const std::size_t wanted = std::min<std::size_t>(range.length(), kSendfileChunk);
    const ssize_t n = ::sendfile(socket_.fd(), fd, &offset, wanted);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno != EAGAIN) co_return broken(errno, "sending to the connection");
    if (n == 0) {
      co_return failure(ErrorCode::kIo, ErrorSource::kDisk,
                        "a cached file is shorter than its index entry says");
    }
    if (n > 0) {
      range.begin += static_cast<std::uint64_t>(n);
      if (progress != nullptr) *progress += static_cast<std::uint64_t>(n);
    }
    if (range.empty()) break;
    if (n < 0 || static_cast<std::size_t>(n) < wanted) {
      auto ready = co_await wait_for_room(patience);
      if (!ready) co_return std::unexpected(ready.error());
      turn_end_ = Deadline::Clock::now() + kTurnBudget;
    } else if (Deadline::Clock::now() >= turn_end_) {
      co_await next_turn();
      turn_end_ = Deadline::Clock::now() + kTurnBudget;
    }
  }
  co_return Result<void>{};
}

Task<void> Connection::close_orderly(Deadline deadline) {
  if (ssl_) SSL_shutdown(ssl_.get());
  ::shutdown(socket_.fd(), SHUT_WR);
  for (std::size_t total = 0; total < kLingerBytes;) {
    auto ready = co_await wait_readable(deadline);
    const std::size_t n = ready ? discard_now() : 0;
    if (n == 0) break;
    total += n;
  }
  ssl_.reset();
  socket_.close();
}

// By way of the stack: thousands of connections may end at once.
std::size_t Connection::discard_now() const {
  std::array<std::byte, 8192> discarded;  // NOLINT(*-member-init): filled by recv
  const ssize_t n = ::recv(socket_.fd(), discarded.data(), discarded.size(), 0);
  return n > 0 ? static_cast<std::size_t>(n) : 0;
}

bool Connection::is_quiet() const {
  char byte = 0;
  const ssize_t n = ::recv(socket_.fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return n < 0 && errno == EAGAIN && (!ssl_ || SSL_has_pending(ssl_.get()) == 0);
}

}  // namespace layover::net
