// A byte stream to a peer, plain or TLS: the one connection type of both sides.
//
// A connection on which a call failed or was cancelled midway is good for nothing but being closed.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/deadline.h"
#include "base/error.h"
#include "net/socket.h"
#include "net/task.h"
#include "net/tls.h"

namespace layover::net {

/// Lives on its socket's loop. One task reads and writes it, one call at a time. Errors carry the
/// source given at construction (whose peer it is).
class Connection {
 public:
  Connection(Socket socket, ErrorSource peer) : socket_(std::move(socket)), peer_(peer) {}
  Connection(Connection&&) noexcept = default;
  Connection& operator=(Connection&&) noexcept = default;
  /// Declared in this order so that the TLS session dies before the descriptor.
  ~Connection() = default;

  /// Makes this a TLS connection to `host`: kTls, kTimeout, kReset.
  Task<Result<void>> start_tls(const TlsContext& context, std::string host, Deadline deadline);

  /// At least one byte, or 0 at the peer's orderly end. kTimeout at the deadline.
  Task<Result<std::size_t>> read(std::span<std::byte> into, Deadline deadline);
  /// Whether there is something to read by `deadline`: bytes, or the connection's end. Takes nothing.
  Task<bool> has_input_by(Deadline deadline);
  /// Takes what has come without waiting: the number of bytes, 0 at the peer's orderly end, or nothing where
  /// nothing has. Plain connections only.
  Result<std::optional<std::size_t>> read_now(std::span<std::byte> into);
  /// Resumes when a byte or the end has come, without taking it.
  Task<Result<void>> wait_readable(Deadline deadline);

  /// Sends what the socket takes at once of `head` and then `body`; the number of bytes. Plain
  /// connections only; with `more`, the kernel may hold the bytes back for what follows.
  Result<std::size_t> write_now(std::string_view head, std::string_view body, bool more);
  /// Sends all of `data`, which must stay valid. The peer must take something every `patience`.
  Task<Result<void>> write(std::string_view data, std::chrono::milliseconds patience);
  /// Sends `range` of the file `fd`, which holds it, as sendfile(2) does; `progress`, if not null, is
  /// raised by what was sent, also when it fails. Plain connections only.
  Task<Result<void>> send_file(int fd, ByteRange range, std::chrono::milliseconds patience,
                               std::uint64_t* progress);

  /// Ends our direction and reads what the peer still sends, so that it sees an orderly end and not a
  /// reset. Then closed.
  Task<void> close_orderly(Deadline deadline);

  /// False where the peer has closed or sent something unasked: not to be reused.
  bool is_quiet() const;
  bool is_tls() const { return ssl_ != nullptr; }
  int fd() const { return socket_.fd(); }

 private:
  enum class TlsNeed { kNothing, kRead, kWrite, kFailed };

  TlsNeed need_of(int ssl_result) const;
  Task<Result<void>> wait_for(TlsNeed need, Deadline deadline);
  Task<Result<std::size_t>> read_tls(std::span<std::byte> into, Deadline deadline);
  Task<Result<void>> write_tls(std::string_view data, std::chrono::milliseconds patience);
  Task<Result<void>> wait_writable(Deadline deadline);
  Task<Result<void>> wait_for_room(std::chrono::milliseconds patience);
  /// Bytes that the peer has not acknowledged.
  int unsent() const;
  /// How many bytes were there to be thrown away; 0 at the end.
  std::size_t discard_now() const;
  std::unexpected<Error> broken(int system_errno, std::string_view what) const;

  Socket socket_;
  SslPointer ssl_;
  ErrorSource peer_;
  bool is_drained_ = true;                  // the last recv took all there was: wait before the next
  Deadline::Clock::time_point turn_end_{};  // a long answer lets others on after that
};

}  // namespace layover::net
