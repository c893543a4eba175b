// IP addresses as values, networks of them, and the question every connect asks: what kind of place
// is this address? The answer sees through the IPv6 forms that carry an IPv4 address.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

struct sockaddr;

namespace layover::net {

class IpAddress {
 public:
  using V4 = std::array<std::uint8_t, 4>;
  using V6 = std::array<std::uint8_t, 16>;

  constexpr explicit IpAddress(V4 bytes) : bytes_{bytes[0], bytes[1], bytes[2], bytes[3]} {}
  constexpr explicit IpAddress(V6 bytes) : is_v6_(true), bytes_(bytes) {}

  /// Dotted IPv4 or IPv6 text without brackets or zone; kInvalid, source kSelf.
  static Result<IpAddress> parse(std::string_view text);
  /// Nothing for families other than AF_INET and AF_INET6. A scope id is not kept.
  static std::optional<IpAddress> from_sockaddr(const sockaddr& address);

  constexpr bool is_v6() const { return is_v6_; }
  /// In network order; IPv4 fills the first 4.
  constexpr const V6& bytes() const { return bytes_; }
  /// The canonical text, without brackets; at most 45 characters.
  std::string to_string() const;

  friend constexpr auto operator<=>(const IpAddress&, const IpAddress&) = default;

 private:
  bool is_v6_ = false;
  V6 bytes_{};
};

/// A network in CIDR notation.
class Network {
 public:
  /// "10.0.0.0/8", "fd00::/8", or one address. Bits behind the prefix must be 0 (the message says which
  /// network was probably meant); kInvalid, source kSelf.
  static Result<Network> parse(std::string_view text);
  /// `prefix_length` is at most 32 for IPv4, 128 for IPv6.
  constexpr Network(IpAddress base, unsigned prefix_length) : base_(base), prefix_length_(prefix_length) {}

  /// Also true where `address` is an IPv6 form that carries an IPv4 address of this network.
  bool contains(const IpAddress& address) const;
  std::string to_string() const;

  friend bool operator==(const Network&, const Network&) = default;

 private:
  IpAddress base_;
  unsigned prefix_length_;
};

/// In ascending order of how much a stranger gains by leading us there.
enum class AddressClass {
  kPublic,
  kPrivate,    // RFC 1918, ULA, site-local, 100.64/10 (carrier NAT), 198.18/15 (benchmarks, fake-ip proxies)
  kLoopback,   // 127/8, ::1
  kLinkLocal,  // 169.254/16 with the clouds' metadata services, fe80::/10
  kReserved,   // 0/8 and :: (Linux takes them for itself), multicast, broadcast, documentation, Teredo
};

/// Sees through IPv4-mapped, IPv4-compatible, IPv4-translated, NAT64 (64:ff9b::/96 and the local
/// 64:ff9b:1::/48, in every layout of RFC 6052) and 6to4 addresses. Where an address can be read in
/// several ways, the class is the worst of them.
AddressClass classify(const IpAddress& address);

/// For messages: "public", "private", "loopback", "link-local", "reserved".
std::string_view to_string(AddressClass address_class);

}  // namespace layover::net
