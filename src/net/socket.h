// A non-blocking stream socket on a loop: the descriptor, and waiting for it to become readable or
// writable. Reading and writing are the caller's (recv, sendfile, OpenSSL on the same descriptor).
#pragma once

#include <memory>

#include "base/deadline.h"
#include "base/error.h"
#include "base/unique_fd.h"
#include "net/loop.h"
#include "net/socket_address.h"
#include "net/task.h"
#include "net/wait.h"

namespace layover::net {

/// Owned by one task's object; lives on one loop. At most one task waits in each direction. Destroying
/// it while a task waits on it is a bug of the owner: destroy the task first.
class Socket {
 public:
  /// An unconnected, closed socket.
  Socket() = default;
  /// Takes over a non-blocking descriptor.
  Socket(Loop& loop, UniqueFd fd);
  Socket(Socket&&) noexcept = default;
  Socket& operator=(Socket&&) noexcept = default;

  bool is_open() const { return poll_ != nullptr; }
  /// -1 when closed.
  int fd() const;
  void close() { poll_.reset(); }

  class ReadyWait;
  /// `auto ready = co_await socket.readable(deadline);`: kTimeout at the deadline. An error on the
  /// socket counts as ready: the next call on the descriptor reports it.
  ReadyWait readable(Deadline deadline);
  ReadyWait writable(Deadline deadline);

  /// Connects to `address`: kConnect, kTimeout, both with source kUpstream.
  static Task<Result<Socket>> connect(Loop& loop, SocketAddress address, Deadline deadline);

 private:
  struct Poll;
  struct ClosePoll {
    void operator()(Poll* poll) const;
  };

  std::unique_ptr<Poll, ClosePoll> poll_;
};

class [[nodiscard]] Socket::ReadyWait final : private Wait {
 public:
  ReadyWait(Poll& poll, int event, Deadline deadline) : poll_(poll), event_(event), deadline_(deadline) {}
  ~ReadyWait() override { unregister(); }

  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> coroutine);
  Result<void> await_resume() const;

 private:
  friend struct Poll;
  void on_timeout() override { unregister(); }
  void unregister();

  Poll& poll_;
  int event_;
  Deadline deadline_;
  bool is_registered_ = false;
};

}  // namespace layover::net
