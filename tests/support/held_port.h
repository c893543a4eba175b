// A port of 127.0.0.1 at which nobody answers, in one of two ways.
#pragma once

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstdint>
#include <stdexcept>
#include <vector>

#include "base/unique_fd.h"
#include "net/socket_address.h"

namespace layover::test {

/// The port is free again at its end.
class HeldPort {
 public:
  enum class Answer {
    kRefuse,  // bound, not listening: connections are refused
    kNone,    // its queue is full: connections are never made, nor refused
  };

  HeldPort(std::uint16_t port, Answer answer) : address_(net::numeric_address("127.0.0.1", port).at(0)) {
    const int on = 1;
    ::setsockopt(held_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(held_.get(), address_.get(), address_.length) != 0)
      throw std::runtime_error("the port is in use");
    if (answer == Answer::kNone) fill_queue();
  }

 private:
  // A queue of length 0 takes one connection or two; then the kernel drops what comes.
  void fill_queue() {
    constexpr int kMost = 16;
    constexpr int kEnoughOnLoopbackMs = 100;
    if (::listen(held_.get(), 0) != 0) throw std::runtime_error("the port cannot be listened on");
    for (int i = 0; i < kMost; ++i) {
      UniqueFd& filler =
          fillers_.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      if (::connect(filler.get(), address_.get(), address_.length) == 0) continue;
      pollfd made{.fd = filler.get(), .events = POLLOUT, .revents = 0};
      if (::poll(&made, 1, kEnoughOnLoopbackMs) == 0) return;
    }
    throw std::runtime_error("the queue does not get full");
  }

  net::SocketAddress address_;
  UniqueFd held_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  std::vector<UniqueFd> fillers_;
};

}  // namespace layover::test
