// Bytes as a peer sends them: over a socket pair, in one piece or in two, to code that reads them on a loop.
#pragma once

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <string_view>

#include "net/task_group.h"
#include "net/wait.h"
#include "tests/support/socket_pair.h"
#include "tests/support/test_loop.h"

namespace layover::fuzz {

/// What a peer sends, one after the other; `second` only when `first` has been read.
struct Pieces {
  std::string_view first;
  std::string_view second;
  bool lingers = false;  // the end follows only when all has been read and acted upon
};

/// More than fits any limit that is tried, and less than the socket takes at once.
inline constexpr std::size_t kMostOnWire = std::size_t{64} << 10;

/// The one loop of the process: a new one for each input would be most of the work.
inline test::TestLoop& wire_loop() {
  static test::TestLoop loop;
  return loop;
}

inline bool is_unread(int fd) {
  int bytes = 0;
  return ::ioctl(fd, SIOCOUTQ, &bytes) == 0 && bytes > 0;
}

/// Lets the loop turn until all that was sent has been read; whoever reads may never read on, though.
inline net::Task<void> wait_until_read(int fd) {
  constexpr int kMostTurns = 8;
  for (int turn = 0; turn < kMostTurns; ++turn) {
    co_await net::next_turn();
    if (!is_unread(fd)) break;
  }
}

inline net::Task<void> send_pieces(int fd, Pieces pieces) {
  // Whoever reads may have closed already: not the peer's concern.
  ::send(fd, pieces.first.data(), pieces.first.size(), MSG_NOSIGNAL);
  if (!pieces.second.empty()) co_await wait_until_read(fd);
  ::send(fd, pieces.second.data(), pieces.second.size(), MSG_NOSIGNAL);
  if (pieces.lingers) {
    co_await wait_until_read(fd);
    co_await net::next_turn();
  }
  ::shutdown(fd, SHUT_WR);
}

/// Runs the task that `make` makes from our end's descriptor while the peer sends; gives its result.
template <typename Make>
auto run_on_wire(Pieces pieces, Make make) {
  test::TestLoop& loop = wire_loop();
  test::SocketPair pair;
  net::TaskGroup peer(loop.loop());
  peer.spawn(send_pieces(pair.peer_fd(), pieces));
  return loop.run(make(loop.loop(), pair.take()));
}

}  // namespace layover::fuzz
