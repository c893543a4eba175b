// From a host's name to a ready connection: look-up, address policy, connect, TLS.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

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

/// Looks the host up and connects to one of its addresses, IPv4 and IPv6 in turn: see dial_any. The look-up
/// takes at most `connect_timeout` too. kDns, kConnect, kTls, kTimeout, kDenied; source kUpstream.
Task<Result<Connection>> dial(Loop& loop, DialTarget target, std::chrono::milliseconds connect_timeout,
                              Deadline deadline);

/// Tries the addresses in order, the next one as soon as those before have failed or 250 ms have passed, and
/// gives the first connection that is made (RFC 8305 5). An attempt, its TLS handshake included, takes at
/// most `connect_timeout`; all is within `deadline`. Errors are those of the last one that failed.
Task<Result<Connection>> dial_any(Loop& loop, DialTarget target, std::vector<SocketAddress> addresses,
                                  std::chrono::milliseconds connect_timeout, Deadline deadline);

/// The families in turn, beginning with that of the first address; each in its own order (RFC 8305 4).
std::vector<SocketAddress> interleave_families(const std::vector<SocketAddress>& addresses);

}  // namespace layover::net
