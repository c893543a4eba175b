// Addresses: text forms, networks, and classes seen through every IPv6 disguise.
#include "net/ip_address.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include "tests/support/catch.h"

using layover::net::AddressClass;
using layover::net::classify;
using layover::net::IpAddress;
using layover::net::Network;

namespace {

IpAddress ip(std::string_view text) {
  auto parsed = IpAddress::parse(text);
  REQUIRE(parsed);
  return *parsed;
}

Network network(std::string_view text) {
  auto parsed = Network::parse(text);
  REQUIRE(parsed);
  return *parsed;
}

}  // namespace

namespace Catch {
template <>
struct StringMaker<AddressClass> {
  static std::string convert(AddressClass value) { return std::string(layover::net::to_string(value)); }
};
}  // namespace Catch

TEST_CASE("addresses are read and shown in their canonical form") {
  CHECK(ip("10.1.2.3").to_string() == "10.1.2.3");
  CHECK(ip("255.0.100.9").to_string() == "255.0.100.9");
  CHECK(ip("0.0.0.0").to_string() == "0.0.0.0");
  CHECK(ip("2001:DB8::0:1").to_string() == "2001:db8::1");
  CHECK(ip("::ffff:1.2.3.4").is_v6());
  CHECK(ip("::").to_string() == "::");
}

TEST_CASE("what is no address is refused") {
  for (const auto* text : {"", "1.2.3", "01.2.3.4", "1.2.3.4 ", "0x1.2.3.4", "[::1]", "fe80::1%eth0", "a"}) {
    CAPTURE(text);
    CHECK_FALSE(IpAddress::parse(text));
  }
  CHECK_FALSE(IpAddress::parse(std::string_view("1.2.3.4\0x", 9)));
}

TEST_CASE("a socket's address becomes a value") {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_addr.s_addr = htonl(0x0a010203);
  CHECK(IpAddress::from_sockaddr(reinterpret_cast<const sockaddr&>(v4)) == ip("10.1.2.3"));
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_addr = in6addr_loopback;
  CHECK(IpAddress::from_sockaddr(reinterpret_cast<const sockaddr&>(v6)) == ip("::1"));
  sockaddr local{};
  local.sa_family = AF_UNIX;
  CHECK_FALSE(IpAddress::from_sockaddr(local));
}

TEST_CASE("a network holds the addresses of its prefix and no others") {
  CHECK(network("10.0.0.0/8").contains(ip("10.255.0.1")));
  CHECK_FALSE(network("10.0.0.0/8").contains(ip("11.0.0.0")));
  CHECK(network("10.128.0.0/9").contains(ip("10.128.0.1")));
  CHECK_FALSE(network("10.128.0.0/9").contains(ip("10.127.255.255")));
  CHECK(network("0.0.0.0/0").contains(ip("255.255.255.255")));
  CHECK(network("192.168.1.1").contains(ip("192.168.1.1")));
  CHECK_FALSE(network("192.168.1.1").contains(ip("192.168.1.2")));
  CHECK(network("fd00::/8").contains(ip("fdff::1")));
  CHECK_FALSE(network("fd00::/8").contains(ip("fc00::1")));
  CHECK_FALSE(network("0.0.0.0/0").contains(ip("2600::1")));
  CHECK(network("::1").contains(ip("::1")));
}

TEST_CASE("an IPv4 network holds the IPv6 forms of its addresses") {
  CHECK(network("10.0.0.0/8").contains(ip("::ffff:10.1.2.3")));
  CHECK(network("10.0.0.0/8").contains(ip("64:ff9b::10.1.2.3")));
  CHECK_FALSE(network("10.0.0.0/8").contains(ip("::ffff:11.1.2.3")));
  CHECK_FALSE(network("0.0.0.0/0").contains(ip("::1")));
}

TEST_CASE("networks are read strictly and shown again") {
  CHECK(network("10.0.0.0/8").to_string() == "10.0.0.0/8");
  CHECK(network("fe80::/10").to_string() == "fe80::/10");
  CHECK(network("::1").to_string() == "::1/128");
  for (const auto* text : {"", "10/8", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0.0/-1", "10.0.0.0/8x",
                           "10.0.0.0/ 8", "10.0.0.0/8/8", "host/8", "10.0.0.0/99999999999"}) {
    CAPTURE(text);
    CHECK_FALSE(Network::parse(text));
  }
}

TEST_CASE("a network with bits behind its prefix is refused, naming the one that was meant") {
  CHECK_THAT(Network::parse("10.1.2.3/8").error().message(), Catch::Matchers::Contains("10.0.0.0/8"));
  CHECK_THAT(Network::parse("192.168.255.0/23").error().message(),
             Catch::Matchers::Contains("192.168.254.0/23"));
  CHECK_THAT(Network::parse("fe81::/9").error().message(), Catch::Matchers::Contains("fe80::/9"));
}

TEST_CASE("IPv4 addresses have the class of their block, edges included") {
  const auto [text, expected] = GENERATE(table<std::string, AddressClass>({
      {"8.8.8.8", AddressClass::kPublic},           {"1.0.0.0", AddressClass::kPublic},
      {"9.255.255.255", AddressClass::kPublic},     {"10.0.0.0", AddressClass::kPrivate},
      {"10.255.255.255", AddressClass::kPrivate},   {"11.0.0.0", AddressClass::kPublic},
      {"100.63.255.255", AddressClass::kPublic},    {"100.64.0.0", AddressClass::kPrivate},
      {"100.127.255.255", AddressClass::kPrivate},  {"100.128.0.0", AddressClass::kPublic},
      {"126.255.255.255", AddressClass::kPublic},   {"127.0.0.1", AddressClass::kLoopback},
      {"127.255.255.255", AddressClass::kLoopback}, {"169.254.169.254", AddressClass::kLinkLocal},
      {"169.253.255.255", AddressClass::kPublic},   {"172.15.255.255", AddressClass::kPublic},
      {"172.16.0.0", AddressClass::kPrivate},       {"172.31.255.255", AddressClass::kPrivate},
      {"172.32.0.0", AddressClass::kPublic},        {"192.168.0.0", AddressClass::kPrivate},
      {"192.169.0.0", AddressClass::kPublic},       {"198.18.0.1", AddressClass::kPrivate},
      {"198.20.0.0", AddressClass::kPublic},        {"0.0.0.0", AddressClass::kReserved},
      {"0.255.255.255", AddressClass::kReserved},   {"192.0.2.1", AddressClass::kReserved},
      {"223.255.255.255", AddressClass::kPublic},   {"224.0.0.1", AddressClass::kReserved},
      {"255.255.255.255", AddressClass::kReserved},
  }));
  CAPTURE(text);
  CHECK(classify(ip(text)) == expected);
}

TEST_CASE("IPv6 addresses have the class of their block") {
  const auto [text, expected] = GENERATE(table<std::string, AddressClass>({
      {"2606:4700::1", AddressClass::kPublic},
      {"fc00::1", AddressClass::kPrivate},
      {"fdff::1", AddressClass::kPrivate},
      {"fec0::1", AddressClass::kPrivate},
      {"::1", AddressClass::kLoopback},
      {"fe80::1", AddressClass::kLinkLocal},
      {"febf::1", AddressClass::kLinkLocal},
      {"::", AddressClass::kReserved},
      {"ff02::1", AddressClass::kReserved},
      {"2001:db8::1", AddressClass::kReserved},
      {"2001::1", AddressClass::kReserved},
      {"100::1", AddressClass::kReserved},
  }));
  CAPTURE(text);
  CHECK(classify(ip(text)) == expected);
}

TEST_CASE("IPv6 forms have the class of the IPv4 address that they carry") {
  const auto [v4, expected] = GENERATE(table<std::string, AddressClass>({
      {"8.8.4.4", AddressClass::kPublic},
      {"10.0.0.1", AddressClass::kPrivate},
      {"100.64.0.1", AddressClass::kPrivate},
      {"127.0.0.1", AddressClass::kLoopback},
      {"169.254.169.254", AddressClass::kLinkLocal},
      {"224.0.0.1", AddressClass::kReserved},
  }));
  for (const auto* prefix : {"::ffff:", "::", "::ffff:0:", "64:ff9b::"}) {
    CAPTURE(prefix, v4);
    CHECK(classify(ip(prefix + v4)) == expected);
  }
  const auto b = ip(v4).bytes();
  CHECK(classify(IpAddress(IpAddress::V6{0x20, 0x02, b[0], b[1], b[2], b[3], 0, 1})) == expected);
}

TEST_CASE("the local NAT64 block is read in every layout, and the worst counts") {
  const auto [v4, expected] = GENERATE(table<std::string, AddressClass>({
      {"8.8.4.4", AddressClass::kPublic},
      {"10.0.0.1", AddressClass::kPrivate},
      {"127.0.0.1", AddressClass::kLoopback},
      {"169.254.169.254", AddressClass::kLinkLocal},
  }));
  const auto b = ip(v4).bytes();
  CAPTURE(v4);
  using V6 = IpAddress::V6;
  CHECK(classify(ip("64:ff9b:1::" + v4)) == expected);
  CHECK(classify(IpAddress(V6{0, 0x64, 0xff, 0x9b, 0, 1, b[0], b[1], 0, b[2], b[3]})) == expected);
  CHECK(classify(IpAddress(V6{0, 0x64, 0xff, 0x9b, 0, 1, 9, b[0], 0, b[1], b[2], b[3]})) == expected);
  CHECK(classify(IpAddress(V6{0, 0x64, 0xff, 0x9b, 0, 1, 9, 9, 0, b[0], b[1], b[2], b[3]})) == expected);
  // A suffix that a translator ignores hides nothing.
  CHECK(classify(IpAddress(V6{0, 0x64, 0xff, 0x9b, 0, 1, b[0], b[1], 0, b[2], b[3], 0, 8, 8, 8, 8})) ==
        expected);
  CHECK(classify(ip("64:ff9b:1::")) == AddressClass::kReserved);
}
