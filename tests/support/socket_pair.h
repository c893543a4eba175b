// Two connected sockets: one for the code under test, one that the test reads and writes like a peer.
#pragma once

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <csignal>
#include <stdexcept>
#include <string>
#include <string_view>

#include "base/unique_fd.h"

namespace layover::test {

/// sendfile(2) has no MSG_NOSIGNAL: the program ignores SIGPIPE, and so do tests.
inline void ignore_sigpipe() { std::signal(SIGPIPE, SIG_IGN); }

class SocketPair {
 public:
  SocketPair() {
    ignore_sigpipe();
    std::array<int, 2> fds{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds.data()) != 0) {
      throw std::runtime_error("no socket pair");
    }
    ours_ = UniqueFd(fds[0]);
    peer_ = UniqueFd(fds[1]);
  }

  /// Our end, non-blocking; once.
  UniqueFd take() { return std::move(ours_); }
  int peer_fd() const { return peer_.get(); }

  /// The peer's end: sends all that the socket takes.
  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(peer_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) throw std::runtime_error("the peer cannot send");
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
  }
  /// The peer's orderly end of its direction.
  void end() { ::shutdown(peer_.get(), SHUT_WR); }
  void close() { peer_.close(); }

  /// What has come and not been read.
  std::string received() {
    std::string text;
    std::array<char, 65536> chunk;  // NOLINT(*-member-init): filled by recv
    for (;;) {
      const ssize_t n = TEMP_FAILURE_RETRY(::recv(peer_.get(), chunk.data(), chunk.size(), 0));
      if (n <= 0) {
        has_ended_ = n == 0;
        return text;
      }
      text.append(chunk.data(), static_cast<std::size_t>(n));
    }
  }
  /// True where the last received() met our end's close.
  bool has_ended() const { return has_ended_; }
  /// Waits until something comes, or our end closes; false after `milliseconds`.
  bool wait(int milliseconds) const {
    pollfd event{.fd = peer_.get(), .events = POLLIN, .revents = 0};
    return ::poll(&event, 1, milliseconds) == 1;
  }

 private:
  UniqueFd ours_;
  UniqueFd peer_;
  bool has_ended_ = false;
};

}  // namespace layover::test
