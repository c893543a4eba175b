// Addresses in the configuration: where to listen, which registry URL to dial, which networks a
// redirect may lead to. Text is parsed here, once.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace layover::config {

/// A local address to bind to.
struct Endpoint {
  std::string host;        // an IPv4 or IPv6 address, without brackets
  std::uint16_t port = 0;  // 0: the system chooses

  friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
};

/// "127.0.0.1:5000", "[::1]:5000"; "localhost" is 127.0.0.1. Names are not resolved.
std::optional<Endpoint> parse_endpoint(std::string_view text);
/// "127.0.0.1:5000" or "[::1]:5000".
std::string to_string(const Endpoint& endpoint);
/// Whether only this machine can reach it.
bool is_loopback(const Endpoint& endpoint);

/// Where a registry is reached: scheme, host and port; registries have no path in front of /v2/.
struct RegistryUrl {
  bool is_tls = true;
  std::string host;  // lower case; a name or an address, IPv6 without brackets
  std::uint16_t port = 443;

  friend auto operator<=>(const RegistryUrl&, const RegistryUrl&) = default;
};

/// "https://host[:port]" or "http://host[:port]"; without a scheme it is https. A trailing slash is fine; a
/// path, a query or user information is not.
std::optional<RegistryUrl> parse_registry_url(std::string_view text);
/// With the port only where it is not the scheme's own.
std::string to_string(const RegistryUrl& url);

/// A network in CIDR notation; a single address is a network of one.
struct Network {
  std::string text;                     // as configured
  std::array<std::byte, 16> address{};  // network byte order; IPv4 takes the first 4
  bool is_ipv6 = false;
  unsigned prefix_length = 0;

  /// `other` is 4 or 16 bytes in network byte order. Families never match each other: unmap IPv4-mapped
  /// addresses first.
  bool contains(std::span<const std::byte> other) const;
};

/// Nothing for what is no network, or has bits set after its prefix.
std::optional<Network> parse_network(std::string_view text);

/// Whether a host is, without resolving anything, on this machine or in a private network: "localhost" and
/// names below it, and addresses that are loopback, private (RFC 1918, RFC 4193), shared (RFC 6598),
/// link-local or unspecified, also as IPv4-mapped IPv6.
bool is_private_host(std::string_view host);

}  // namespace layover::config
