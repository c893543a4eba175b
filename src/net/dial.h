// From a host's name to a ready connection: look-up, address policy, connect, TLS.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "net/connection.h"
#include "net/socket_address.h"
#include "net/tls.h"

namespace layover::net {

struct DialTarget {
  std::string host;
  std::uint16_t port = 0;
  std::shared_ptr<const TlsContext> tls;  // null: plain
  /// Asked for each address before it is connected to; a refusal's error is the dial's if none is left.
  std::function<Result<void>(const SocketAddress&)> permit;
};

/// Looks the host up and tries its addresses in order, each step for at most `connect_timeout` (an attempt
/// covers its TLS handshake too), all within `deadline`. kDns, kConnect, kTls, kTimeout, kDenied; source
/// kUpstream.
Task<Result<Connection>> dial(Loop& loop, DialTarget target, std::chrono::milliseconds connect_timeout,
                              Deadline deadline);

}  // namespace layover::net
