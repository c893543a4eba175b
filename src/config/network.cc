// Parsing of addresses, URLs and networks, and which of them are private.
#include "config/network.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "base/ascii.h"
#include "oci/registry_name.h"

namespace layover::config {
namespace {

struct Address {
  std::array<std::byte, 16> bytes{};
  bool is_ipv6 = false;

  std::span<const std::byte> span() const { return std::span(bytes).first(is_ipv6 ? 16 : 4); }
};

std::optional<Address> parse_address(std::string_view text) {
  // inet_pton stops at a NUL byte.
  if (text.find('\0') != std::string_view::npos) return std::nullopt;
  const std::string terminated(text);
  Address address;
  address.is_ipv6 = text.find(':') != std::string_view::npos;
  if (inet_pton(address.is_ipv6 ? AF_INET6 : AF_INET, terminated.c_str(), address.bytes.data()) != 1) {
    return std::nullopt;
  }
  return address;
}

std::string to_string(const Address& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(address.is_ipv6 ? AF_INET6 : AF_INET, address.bytes.data(), text.data(), text.size());
  return text.data();
}

// An IPv4-mapped IPv6 address (::ffff:a.b.c.d) as the IPv4 address that it reaches.
Address unmapped(const Address& address) {
  static constexpr std::array<std::byte, 12> kMapped = {
      std::byte{0}, std::byte{0}, std::byte{0}, std::byte{0}, std::byte{0},    std::byte{0},
      std::byte{0}, std::byte{0}, std::byte{0}, std::byte{0}, std::byte{0xff}, std::byte{0xff}};
  if (!address.is_ipv6 || !std::ranges::equal(std::span(address.bytes).first(12), kMapped)) return address;
  Address ipv4;
  std::ranges::copy(std::span(address.bytes).last(4), ipv4.bytes.begin());
  return ipv4;
}

template <typename Number>
std::optional<Number> parse_number(std::string_view text, Number largest) {
  const auto value = parse_decimal<unsigned long>(text);
  if (!value || *value > largest) return std::nullopt;
  return static_cast<Number>(*value);
}

bool is_in_any(const Address& address, const std::vector<Network>& networks) {
  const auto plain = unmapped(address);
  return std::ranges::any_of(networks,
                             [&](const Network& network) { return network.contains(plain.span()); });
}

std::vector<Network> networks_of(std::initializer_list<std::string_view> texts) {
  std::vector<Network> networks;
  for (std::string_view text : texts) networks.push_back(*parse_network(text));
  return networks;
}

// Cuts `prefix` off the front of `text`, whatever its letters' case.
bool take_prefix(std::string_view& text, std::string_view prefix) {
  if (!equals_ignoring_case(text.substr(0, prefix.size()), prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

}  // namespace

std::optional<Endpoint> parse_endpoint(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto port = parse_number<std::uint16_t>(text.substr(colon + 1), 65535);
  auto host = text.substr(0, colon);
  const bool is_bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (is_bracketed) host = host.substr(1, host.size() - 2);
  if (host == "localhost") host = "127.0.0.1";
  const auto address = parse_address(host);
  if (!port || !address || address->is_ipv6 != is_bracketed) return std::nullopt;
  return Endpoint{to_string(*address), *port};
}

std::string to_string(const Endpoint& endpoint) {
  return oci::Authority{endpoint.host, endpoint.port}.to_string();
}

bool is_loopback(const Endpoint& endpoint) {
  static const auto networks = networks_of({"127.0.0.0/8", "::1"});
  const auto address = parse_address(endpoint.host);
  return address && is_in_any(*address, networks);
}

std::optional<RegistryUrl> parse_registry_url(std::string_view text) {
  RegistryUrl url;
  url.is_tls = !take_prefix(text, "http://");
  if (url.is_tls) take_prefix(text, "https://");
  if (text.ends_with('/')) text.remove_suffix(1);
  auto authority = oci::Authority::parse(text);
  if (!authority) return std::nullopt;
  url.host = std::move(authority->host);
  url.port = authority->port.value_or(url.is_tls ? 443 : 80);
  return url;
}

std::string to_string(const RegistryUrl& url) {
  oci::Authority authority{url.host, std::nullopt};
  if (url.port != (url.is_tls ? 443 : 80)) authority.port = url.port;
  return (url.is_tls ? "https://" : "http://") + authority.to_string();
}

bool Network::contains(std::span<const std::byte> other) const {
  if (other.size() != (is_ipv6 ? 16U : 4U)) return false;
  const auto whole = prefix_length / 8;
  if (!std::ranges::equal(other.first(whole), std::span(address).first(whole))) return false;
  const auto rest = prefix_length % 8;
  return rest == 0 || ((other[whole] ^ address[whole]) >> (8 - rest)) == std::byte{0};
}

std::optional<Network> parse_network(std::string_view text) {
  const auto slash = text.find('/');
  const auto address = parse_address(text.substr(0, slash));
  if (!address) return std::nullopt;
  const unsigned bits = address->is_ipv6 ? 128 : 32;
  const auto prefix = slash == std::string_view::npos ? std::optional(bits)
                                                      : parse_number<unsigned>(text.substr(slash + 1), bits);
  if (!prefix) return std::nullopt;
  for (unsigned bit = *prefix; bit < bits; ++bit) {
    if (((address->bytes[bit / 8] >> (7 - bit % 8)) & std::byte{1}) != std::byte{0}) return std::nullopt;
  }
  return Network{std::string(text), address->bytes, address->is_ipv6, *prefix};
}

bool is_private_host(std::string_view host) {
  static const auto networks =
      networks_of({"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
                   "172.16.0.0/12", "192.168.0.0/16", "::", "::1", "fc00::/7", "fe80::/10"});
  if (host == "localhost" || host.ends_with(".localhost")) return true;
  const auto address = parse_address(host);
  return address && is_in_any(*address, networks);
}

}  // namespace layover::config
