// A bound, listening address. Its loop accepts and hands each descriptor out before a byte is read.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/error.h"
#include "base/unique_fd.h"
#include "net/loop.h"
#include "net/socket_address.h"

namespace layover::net {

/// Binds and listens. Errors name the address and the mend: kBusy for a port in use. Any thread.
Result<UniqueFd> listen_on(const SocketAddress& address);

/// Lives on its loop.
class Acceptor {
 public:
  using Handler = std::function<void(UniqueFd fd, SocketAddress peer)>;

  Acceptor(Loop& loop, UniqueFd listening, Handler handler);
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;
  /// Stops listening; connections waiting in the kernel's queue are refused.
  ~Acceptor();

 private:
  struct State;
  State* state_;  // freed by its handles' close callbacks
};

}  // namespace layover::net
