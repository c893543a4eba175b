// IP addresses: text forms, networks, and the classes of RFC 6890's special-purpose blocks.
#include "net/ip_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <tuple>

#include <fmt/format.h>

#include "base/ascii.h"

namespace layover::net {
namespace {

using V4 = IpAddress::V4;
using V6 = IpAddress::V6;

std::unexpected<Error> invalid(std::string message) {
  return failure(ErrorCode::kInvalid, ErrorSource::kSelf, std::move(message));
}

bool same_prefix(const V6& a, const V6& b, unsigned bits) {
  const unsigned whole = bits / 8;
  if (!std::equal(a.begin(), a.begin() + whole, b.begin())) return false;
  if (bits % 8 == 0) return true;
  const auto mask = static_cast<std::uint8_t>(0xff00 >> bits % 8);
  return ((a[whole] ^ b[whole]) & mask) == 0;
}

V6 keep_prefix(V6 bytes, unsigned bits) {
  for (unsigned i = 0; i < bytes.size(); ++i) {
    const unsigned kept = std::clamp(bits, i * 8, i * 8 + 8) - i * 8;
    bytes[i] &= static_cast<std::uint8_t>(0xff00 >> kept);
  }
  return bytes;
}

IpAddress with_bytes(const IpAddress& like, const V6& bytes) {
  return like.is_v6() ? IpAddress(bytes) : IpAddress(V4{bytes[0], bytes[1], bytes[2], bytes[3]});
}

struct SpecialBlock {
  V6 base;
  unsigned prefix_length;
  AddressClass address_class;
};

constexpr SpecialBlock kV4Blocks[] = {
    {{0}, 8, AddressClass::kReserved},
    {{10}, 8, AddressClass::kPrivate},
    {{100, 64}, 10, AddressClass::kPrivate},
    {{127}, 8, AddressClass::kLoopback},
    {{169, 254}, 16, AddressClass::kLinkLocal},
    {{172, 16}, 12, AddressClass::kPrivate},
    {{192, 0, 0}, 24, AddressClass::kReserved},
    {{192, 0, 2}, 24, AddressClass::kReserved},
    {{192, 168}, 16, AddressClass::kPrivate},
    {{198, 18}, 15, AddressClass::kPrivate},
    {{198, 51, 100}, 24, AddressClass::kReserved},
    {{203, 0, 113}, 24, AddressClass::kReserved},
    {{224}, 3, AddressClass::kReserved},  // multicast, class E, broadcast
};

constexpr V6 kV6Loopback = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};

constexpr SpecialBlock kV6Blocks[] = {
    {{}, 128, AddressClass::kReserved},
    {kV6Loopback, 128, AddressClass::kLoopback},
    {{0x01, 0x00}, 64, AddressClass::kReserved},              // discard
    {{0x20, 0x01, 0x00, 0x00}, 32, AddressClass::kReserved},  // Teredo: leads to anyone behind a NAT
    {{0x20, 0x01, 0x0d, 0xb8}, 32, AddressClass::kReserved},  // documentation
    {{0xfc}, 7, AddressClass::kPrivate},
    {{0xfe, 0x80}, 10, AddressClass::kLinkLocal},
    {{0xfe, 0xc0}, 10, AddressClass::kPrivate},
    {{0xff}, 8, AddressClass::kReserved},  // multicast
};

AddressClass class_among(std::span<const SpecialBlock> blocks, const V6& bytes) {
  const auto* found = std::ranges::find_if(
      blocks.data(), blocks.data() + blocks.size(),
      [&](const SpecialBlock& block) { return same_prefix(bytes, block.base, block.prefix_length); });
  return found == blocks.data() + blocks.size() ? AddressClass::kPublic : found->address_class;
}

// Where an IPv6 address of that prefix carries the four bytes of an IPv4 address.
struct Embedding {
  V6 base;
  unsigned prefix_length;
  std::array<std::uint8_t, 4> at;
};

constexpr V6 kLocalNat64 = {0x00, 0x64, 0xff, 0x9b, 0x00, 0x01};
constexpr std::array<std::uint8_t, 4> kLast = {12, 13, 14, 15};

constexpr Embedding kEmbeddings[] = {
    {{}, 96, kLast},                                          // compatible
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96, kLast},  // mapped
    {{0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96, kLast},        // translated (RFC 2765)
    {{0x00, 0x64, 0xff, 0x9b}, 96, kLast},                    // NAT64
    {{0x20, 0x02}, 16, {2, 3, 4, 5}},                         // 6to4
    // RFC 8215's block is cut as its network's operator likes, so all layouts of RFC 6052 2.2 are tried.
    {kLocalNat64, 48, {6, 7, 9, 10}},
    {kLocalNat64, 48, {7, 9, 10, 11}},
    {kLocalNat64, 48, {9, 10, 11, 12}},
    {kLocalNat64, 48, kLast},
};

bool is_own_address(const V6& bytes) { return bytes == V6{} || bytes == kV6Loopback; }

// Calls `see` with every IPv4 address that this IPv6 address can be read as.
template <typename See>
void for_each_embedded(const IpAddress& address, See see) {
  if (!address.is_v6() || is_own_address(address.bytes())) return;
  const V6& bytes = address.bytes();
  for (const Embedding& embedding : kEmbeddings) {
    if (!same_prefix(bytes, embedding.base, embedding.prefix_length)) continue;
    const auto& at = embedding.at;
    see(IpAddress(V4{bytes[at[0]], bytes[at[1]], bytes[at[2]], bytes[at[3]]}));
  }
}

}  // namespace

Result<IpAddress> IpAddress::parse(std::string_view text) {
  const std::string terminated(text);
  V4 v4;
  V6 v6;
  // An embedded zero byte would hide what follows it.
  if (text.find('\0') == std::string_view::npos) {
    if (inet_pton(AF_INET, terminated.c_str(), v4.data()) == 1) return IpAddress(v4);
    if (inet_pton(AF_INET6, terminated.c_str(), v6.data()) == 1) return IpAddress(v6);
  }
  return invalid(fmt::format("{:?} is not an IP address", text));
}

std::optional<IpAddress> IpAddress::from_sockaddr(const sockaddr& address) {
  // Copied, because what is passed as a sockaddr need not be aligned as the wider types.
  if (address.sa_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, &address, sizeof in);
    V4 bytes;
    std::memcpy(bytes.data(), &in.sin_addr, bytes.size());
    return IpAddress(bytes);
  }
  if (address.sa_family == AF_INET6) {
    sockaddr_in6 in{};
    std::memcpy(&in, &address, sizeof in);
    V6 bytes;
    std::memcpy(bytes.data(), &in.sin6_addr, bytes.size());
    return IpAddress(bytes);
  }
  return std::nullopt;
}

std::string IpAddress::to_string() const {
  char text[INET6_ADDRSTRLEN];
  if (is_v6_) return inet_ntop(AF_INET6, bytes_.data(), text, sizeof text);
  // By hand: it is in every line of the request log, and takes inet_ntop(3) five times as long.
  std::string dotted;
  for (const std::uint8_t byte : std::span(bytes_).first(std::tuple_size_v<V4>)) {
    if (!dotted.empty()) dotted += '.';
    const fmt::format_int digits(byte);
    dotted.append(digits.data(), digits.size());
  }
  return dotted;
}

Result<Network> Network::parse(std::string_view text) {
  const std::size_t slash = std::min(text.find('/'), text.size());
  const auto address = IpAddress::parse(text.substr(0, slash));
  if (!address) return invalid(fmt::format("{:?} is not a network such as 10.0.0.0/8 or fd00::/8", text));
  const unsigned widest = address->is_v6() ? 128 : 32;
  if (slash == text.size()) return Network(*address, widest);

  const auto length = parse_decimal<unsigned>(text.substr(slash + 1));
  if (!length || *length > widest) {
    return invalid(fmt::format("{:?} needs a number from 0 to {} after the slash", text, widest));
  }
  const Network network(with_bytes(*address, keep_prefix(address->bytes(), *length)), *length);
  if (network.base_ != *address) {
    return invalid(fmt::format("{:?} has bits set behind its prefix; {} is the network around it", text,
                               network.to_string()));
  }
  return network;
}

bool Network::contains(const IpAddress& address) const {
  if (address.is_v6() == base_.is_v6()) return same_prefix(address.bytes(), base_.bytes(), prefix_length_);
  bool is_carried = false;
  for_each_embedded(address, [&](const IpAddress& v4) { is_carried = is_carried || contains(v4); });
  return is_carried;
}

std::string Network::to_string() const { return fmt::format("{}/{}", base_.to_string(), prefix_length_); }

AddressClass classify(const IpAddress& address) {
  if (!address.is_v6()) return class_among(kV4Blocks, address.bytes());

  AddressClass worst = class_among(kV6Blocks, address.bytes());
  const bool is_local_nat64 = same_prefix(address.bytes(), kLocalNat64, 48);
  bool is_readable = false;
  for_each_embedded(address, [&](const IpAddress& v4) {
    const AddressClass seen = classify(v4);
    // Read in another layout than its own, a local NAT64 address is often 0.0.0.x: not a real reading.
    if (is_local_nat64 && seen == AddressClass::kReserved) return;
    is_readable = true;
    worst = std::max(worst, seen);
  });
  return is_local_nat64 && !is_readable ? AddressClass::kReserved : worst;
}

std::string_view to_string(AddressClass address_class) {
  switch (address_class) {
    case AddressClass::kPublic: return "public";
    case AddressClass::kPrivate: return "private";
    case AddressClass::kLoopback: return "loopback";
    case AddressClass::kLinkLocal: return "link-local";
    case AddressClass::kReserved: return "reserved";
  }
  return "unknown";
}

}  // namespace layover::net
