// Readiness on uv_poll_t. UV_READABLE stays registered for the socket's life and is taken away only
// when it fires with nobody waiting: a request then costs no epoll_ctl.
#include "net/socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include <fmt/format.h>

namespace layover::net {

/// Allocated apart from the Socket because libuv needs the handle until its close callback.
struct Socket::Poll {
  uv_poll_t handle{};
  Loop& loop;
  UniqueFd fd;
  ReadyWait* reader = nullptr;
  ReadyWait* writer = nullptr;
  int armed = 0;

  Poll(Loop& on_loop, UniqueFd descriptor) : loop(on_loop), fd(std::move(descriptor)) {
    uv_poll_init(loop.uv(), &handle, fd.get());
    handle.data = this;
  }

  ReadyWait*& waiter(int event) { return event == UV_READABLE ? reader : writer; }

  void arm(int events) {
    if (events == armed) return;
    armed = events;
    if (events == 0) {
      uv_poll_stop(&handle);
    } else {
      uv_poll_start(&handle, events, &Poll::on_event);
    }
  }

  void wake(int event) {
    ReadyWait* wait = std::exchange(waiter(event), nullptr);
    if (wait == nullptr) return;
    wait->is_registered_ = false;
    wait->wake();
  }

  static void on_event(uv_poll_t* handle, int status, int events) {
    Poll& poll = *static_cast<Poll*>(handle->data);
    Loop& loop = poll.loop;
    if (status < 0) {
      // libuv has stopped the handle already; whoever waits meets the error at the next call.
      poll.armed = 0;
      poll.wake(UV_READABLE);
      poll.wake(UV_WRITABLE);
    } else {
      int keep = poll.armed;
      if ((events & UV_READABLE) != 0 && poll.reader == nullptr) keep &= ~UV_READABLE;
      if ((events & UV_WRITABLE) != 0) keep &= ~UV_WRITABLE;
      if ((events & UV_READABLE) != 0) poll.wake(UV_READABLE);
      if ((events & UV_WRITABLE) != 0) poll.wake(UV_WRITABLE);
      poll.arm(keep);
    }
    loop.run_ready();
  }
};

void Socket::ClosePoll::operator()(Poll* poll) const {
  poll->loop.handle_closing();
  uv_close(reinterpret_cast<uv_handle_t*>(&poll->handle), [](uv_handle_t* handle) {
    const std::unique_ptr<Poll> closed(static_cast<Poll*>(handle->data));
    closed->loop.handle_closed();
  });
}

Socket::Socket(Loop& loop, UniqueFd fd) : poll_(new Poll(loop, std::move(fd))) {}

int Socket::fd() const { return poll_ ? poll_->fd.get() : -1; }

Socket::ReadyWait Socket::readable(Deadline deadline) { return {*poll_, UV_READABLE, deadline}; }

Socket::ReadyWait Socket::writable(Deadline deadline) { return {*poll_, UV_WRITABLE, deadline}; }

void Socket::ReadyWait::await_suspend(std::coroutine_handle<> coroutine) {
  poll_.waiter(event_) = this;
  is_registered_ = true;
  poll_.arm(poll_.armed | event_);
  suspend(poll_.loop, coroutine, deadline_);
}

Result<void> Socket::ReadyWait::await_resume() const {
  if (timed_out()) return failure(ErrorCode::kTimeout, ErrorSource::kSelf, "the peer took too long");
  return {};
}

void Socket::ReadyWait::unregister() {
  if (!std::exchange(is_registered_, false)) return;
  poll_.waiter(event_) = nullptr;
}

Task<Result<Socket>> Socket::connect(Loop& loop, SocketAddress address, Deadline deadline) {
  UniqueFd fd(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.is_open()) co_return std::unexpected(system_error(errno, ErrorSource::kSelf, "making a socket"));
  const int on = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const bool is_refused = ::connect(fd.get(), address.get(), address.length) != 0 && errno != EINPROGRESS;
  int problem = is_refused ? errno : 0;
  Socket socket(loop, std::move(fd));
  if (problem == 0) {
    auto ready = co_await socket.writable(deadline);
    if (!ready) {
      co_return failure(ErrorCode::kTimeout, ErrorSource::kUpstream,
                        fmt::format("connecting to {} took too long", address.to_string()));
    }
    socklen_t length = sizeof problem;
    ::getsockopt(socket.fd(), SOL_SOCKET, SO_ERROR, &problem, &length);
  }
  if (problem != 0) {
    const Error cause =
        system_error(problem, ErrorSource::kUpstream, fmt::format("connecting to {}", address.to_string()));
    co_return failure(ErrorCode::kConnect, ErrorSource::kUpstream, cause.message());
  }
  co_return std::move(socket);
}

}  // namespace layover::net
