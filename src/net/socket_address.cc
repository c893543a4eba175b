// Addresses through getaddrinfo and getnameinfo.
#include "net/socket_address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/eventfd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include <fmt/format.h>

#include "base/unique_fd.h"

namespace layover::net {

namespace {

struct Found {
  int code;
  std::vector<SocketAddress> addresses;
};

Found get_addresses(const std::string& host, std::uint16_t port, int flags) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const int code = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list);
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(list, &freeaddrinfo);
  Found found{.code = code, .addresses = {}};
  for (const addrinfo* entry = list; code == 0 && entry != nullptr; entry = entry->ai_next) {
    SocketAddress address;
    std::memcpy(&address.storage, entry->ai_addr, entry->ai_addrlen);
    address.length = entry->ai_addrlen;
    found.addresses.push_back(address);
  }
  return found;
}

}  // namespace

std::uint16_t SocketAddress::port() const {
  if (storage.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6&>(storage).sin6_port);
  return ntohs(reinterpret_cast<const sockaddr_in&>(storage).sin_port);
}

std::string SocketAddress::ip() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (storage.ss_family == AF_INET6) {
    inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6&>(storage).sin6_addr, text.data(), text.size());
  } else {
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(storage).sin_addr, text.data(), text.size());
  }
  return text.data();
}

std::string SocketAddress::to_string() const {
  return storage.ss_family == AF_INET6 ? fmt::format("[{}]:{}", ip(), port())
                                       : fmt::format("{}:{}", ip(), port());
}

std::vector<SocketAddress> numeric_address(const std::string& host, std::uint16_t port) {
  return get_addresses(host, port, AI_NUMERICHOST).addresses;
}

SocketAddress local_address(int fd) {
  SocketAddress address;
  address.length = sizeof address.storage;
  ::getsockname(fd, address.get(), &address.length);
  return address;
}

SocketAddress peer_address(int fd) {
  SocketAddress address;
  address.length = sizeof address.storage;
  ::getpeername(fd, address.get(), &address.length);
  return address;
}

Result<std::vector<SocketAddress>> look_up(const std::string& host, std::uint16_t port) {
  Found found = get_addresses(host, port, AI_ADDRCONFIG);
  // The resolver does not say that it could not open its own files and sockets.
  if (found.code != 0 && !UniqueFd(::eventfd(0, EFD_CLOEXEC)).is_open()) {
    return std::unexpected(
        system_error(errno, ErrorSource::kSelf, fmt::format("the name {} cannot be resolved", host)));
  }
  if (found.code != 0) {
    return failure(ErrorCode::kDns, ErrorSource::kUpstream,
                   fmt::format("the name {} cannot be resolved: {}", host, gai_strerror(found.code)));
  }
  return std::move(found.addresses);
}

}  // namespace layover::net
