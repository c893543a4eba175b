// Accepting in batches; out of descriptors, it pauses instead of spinning on the same event.
#include "net/acceptor.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "base/log_pause.h"

namespace layover::net {

namespace {

constexpr int kBacklog = 4096;
constexpr int kAcceptBatch = 64;
constexpr std::chrono::milliseconds kPause{100};

}  // namespace

Result<UniqueFd> listen_on(const SocketAddress& address) {
  UniqueFd fd(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.is_open()) return std::unexpected(system_error(errno, ErrorSource::kSelf, "making a socket"));
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  // [::] means IPv6 alone, whatever the system's default, so that 0.0.0.0 may stand beside it.
  if (address.storage.ss_family == AF_INET6)
    ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (::bind(fd.get(), address.get(), address.length) != 0 || ::listen(fd.get(), kBacklog) != 0) {
    const int problem = errno;
    const std::string what = fmt::format("cannot listen on {}", address.to_string());
    if (problem == EADDRINUSE) {
      return failure(ErrorCode::kBusy, ErrorSource::kSelf,
                     fmt::format("{}: another process has this port; `ss -ltnp` shows which", what));
    }
    return std::unexpected(system_error(problem, ErrorSource::kSelf, what));
  }
  return fd;
}

struct Acceptor::State final : Timer {
  Loop& loop;
  UniqueFd fd;
  Handler handler;
  uv_poll_t poll{};
  LogPause shortages;

  State(Loop& on_loop, UniqueFd listening, Handler on_accept)
      : loop(on_loop), fd(std::move(listening)), handler(std::move(on_accept)) {
    uv_poll_init(loop.uv(), &poll, fd.get());
    poll.data = this;
    start();
  }

  void start() {
    uv_poll_start(&poll, UV_READABLE, [](uv_poll_t* handle, int, int) {
      auto& self = *static_cast<State*>(handle->data);
      self.accept_some();
      self.loop.run_ready();
    });
  }

  void accept_some() {
    for (int i = 0; i < kAcceptBatch; ++i) {
      SocketAddress peer;
      peer.length = sizeof peer.storage;
      UniqueFd accepted(::accept4(fd.get(), peer.get(), &peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (accepted.is_open()) {
        const int on = 1;
        ::setsockopt(accepted.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        handler(std::move(accepted), peer);
      } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        if (shortages.count()) {
          log_warning("no descriptors left: new connections wait; raise the limit (LimitNOFILE, ulimit -n)");
        }
        uv_poll_stop(&poll);
        loop.arm(*this, Deadline::after(kPause));
        return;
      } else if (errno == EAGAIN) {
        return;
      }
    }
  }

  void expire() override { start(); }
};

Acceptor::Acceptor(Loop& loop, UniqueFd listening, Handler handler)
    : state_(new State(loop, std::move(listening), std::move(handler))) {}

Acceptor::~Acceptor() {
  state_->disarm();
  state_->loop.handle_closing();
  uv_close(reinterpret_cast<uv_handle_t*>(&state_->poll), [](uv_handle_t* handle) {
    const std::unique_ptr<State> closed(static_cast<State*>(handle->data));
    closed->loop.handle_closed();
  });
}

}  // namespace layover::net
