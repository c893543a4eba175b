// An address to bind or connect to: IP and port as the kernel takes them.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace layover::net {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  std::uint16_t port() const;
  /// "10.0.0.1:5000" or "[::1]:5000".
  std::string to_string() const;
  /// The IP alone, without port or brackets.
  std::string ip() const;
};

/// The address of a numeric IPv4 or IPv6 host; nothing if `host` is a name.
std::vector<SocketAddress> numeric_address(const std::string& host, std::uint16_t port);

/// The address a descriptor is bound to (the real port where 0 was asked for), and that of its peer.
SocketAddress local_address(int fd);
SocketAddress peer_address(int fd);

/// getaddrinfo(3) for a stream socket. Blocks: offload pool or start-up only. kDns.
Result<std::vector<SocketAddress>> look_up(const std::string& host, std::uint16_t port);

}  // namespace layover::net
