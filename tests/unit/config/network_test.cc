// Addresses to listen on, URLs of registries, networks, and what is private.
#include "config/network.h"

#include <arpa/inet.h>

#include <array>
#include <string>
#include <vector>

#include "tests/support/catch.h"

using namespace layover::config;

namespace {

bool contains(const char* network, const char* address) {
  const auto parsed = parse_network(network);
  REQUIRE(parsed);
  const bool is_ipv6 = std::string_view(address).find(':') != std::string_view::npos;
  std::array<std::byte, 16> bytes{};
  REQUIRE(inet_pton(is_ipv6 ? AF_INET6 : AF_INET, address, bytes.data()) == 1);
  return parsed->contains(std::span(bytes).first(is_ipv6 ? 16 : 4));
}

}  // namespace

TEST_CASE("an endpoint is an address and a port") {
  CHECK(parse_endpoint("127.0.0.1:5000") == Endpoint{"127.0.0.1", 5000});
  CHECK(parse_endpoint("0.0.0.0:0") == Endpoint{"0.0.0.0", 0});
  CHECK(parse_endpoint("[::]:65535") == Endpoint{"::", 65535});
  CHECK(parse_endpoint("[0:0::1]:80") == Endpoint{"::1", 80});
  CHECK(parse_endpoint("localhost:80") == Endpoint{"127.0.0.1", 80});
  CHECK(to_string(Endpoint{"127.0.0.1", 5000}) == "127.0.0.1:5000");
  CHECK(to_string(Endpoint{"::1", 5000}) == "[::1]:5000");
  for (const char* text : {"",
                           ":",
                           ":5000",
                           "5000",
                           "127.0.0.1",
                           "127.0.0.1:",
                           "127.0.0.1:65536",
                           "127.0.0.1:-1",
                           "127.0.0.1:5000x",
                           "127.0.0.1: 5000",
                           "example.org:80",
                           "::1:80",
                           "[::1]",
                           "[127.0.0.1]:80",
                           "[::1:80",
                           "[]:80",
                           "127.1:80",
                           "*:80",
                           "http://127.0.0.1:80",
                           "[fe80::1%eth0]:80"}) {
    INFO(text);
    CHECK_FALSE(parse_endpoint(text));
  }
  CHECK_FALSE(parse_endpoint(std::string_view("127.0.0.1\0:80", 13)));
}

TEST_CASE("loopback endpoints are those that only this machine reaches") {
  for (const char* host : {"127.0.0.1", "127.255.0.3", "::1", "::ffff:127.0.0.1"}) {
    INFO(host);
    CHECK(is_loopback({host, 1}));
  }
  for (const char* host : {"0.0.0.0", "::", "10.0.0.1", "128.0.0.1", "::2", "::ffff:10.0.0.1"}) {
    INFO(host);
    CHECK_FALSE(is_loopback({host, 1}));
  }
}

TEST_CASE("a registry's URL is a scheme, a host and a port") {
  CHECK(parse_registry_url("https://Registry.Example") == RegistryUrl{true, "registry.example", 443});
  CHECK(parse_registry_url("https://registry.example:5000/") == RegistryUrl{true, "registry.example", 5000});
  CHECK(parse_registry_url("HTTP://10.0.0.5") == RegistryUrl{false, "10.0.0.5", 80});
  CHECK(parse_registry_url("http://[::1]:5000") == RegistryUrl{false, "::1", 5000});
  CHECK(parse_registry_url("registry.example:5000") == RegistryUrl{true, "registry.example", 5000});
  for (const char* text :
       {"", "https://", "http:///", "ftp://host", "https://host/path", "https://host//", "https://u:p@host",
        "https://host?x", "https://host#x", "https://host:0", "https://host:99999", "https://ho st",
        "https:/host", "://host", "https://https://host", "https://host\r\nX: y"}) {
    INFO(text);
    CHECK_FALSE(parse_registry_url(text));
  }
}

TEST_CASE("a registry's URL is written without a port that goes without saying") {
  CHECK(to_string(RegistryUrl{true, "a.example", 443}) == "https://a.example");
  CHECK(to_string(RegistryUrl{false, "a.example", 80}) == "http://a.example");
  CHECK(to_string(RegistryUrl{true, "a.example", 80}) == "https://a.example:80");
  CHECK(to_string(RegistryUrl{false, "::1", 443}) == "http://[::1]:443");
}

TEST_CASE("a network contains the addresses that share its prefix") {
  CHECK(contains("10.0.0.0/8", "10.255.0.1"));
  CHECK_FALSE(contains("10.0.0.0/8", "11.0.0.1"));
  CHECK(contains("172.16.0.0/12", "172.31.255.255"));
  CHECK_FALSE(contains("172.16.0.0/12", "172.32.0.0"));
  CHECK(contains("0.0.0.0/0", "255.255.255.255"));
  CHECK(contains("192.168.1.5", "192.168.1.5"));
  CHECK_FALSE(contains("192.168.1.5", "192.168.1.4"));
  CHECK(contains("192.168.1.4/31", "192.168.1.5"));
  CHECK(contains("fd00::/8", "fd12::1"));
  CHECK_FALSE(contains("fd00::/8", "fe00::1"));
  CHECK(contains("::1", "::1"));
  CHECK_FALSE(contains("::1/128", "::2"));
  CHECK(contains("::/0", "ffff::"));
  // Families never match each other.
  CHECK_FALSE(contains("0.0.0.0/0", "::"));
  CHECK_FALSE(contains("::/0", "0.0.0.0"));
}

TEST_CASE("other texts are no networks") {
  for (const char* text :
       {"", "/", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8/8", "10.0.0.5/8", "10/8", "::/129",
        "fd00::1/8", "10.0.0.0/8 ", "[::1]", "example.org", "*", "10.0.0.0/255.0.0.0"}) {
    INFO(text);
    CHECK_FALSE(parse_network(text));
  }
}

TEST_CASE("private hosts are known without a look-up") {
  for (const char* host :
       {"localhost", "a.localhost", "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "100.64.0.1",
        "169.254.169.254", "0.0.0.0", "::", "::1", "fd00::1", "fe80::1", "::ffff:10.0.0.1"}) {
    INFO(host);
    CHECK(is_private_host(host));
  }
  for (const char* host : {"example.org", "localhost.example", "8.8.8.8", "172.32.0.1", "100.128.0.1",
                           "2606:4700::1111", "::ffff:8.8.8.8", "registry"}) {
    INFO(host);
    CHECK_FALSE(is_private_host(host));
  }
}
