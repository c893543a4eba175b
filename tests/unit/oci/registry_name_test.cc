// Registry hosts as look-up keys, and Docker Hub's aliases.
#include "oci/registry_name.h"

#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "tests/support/catch.h"

using layover::oci::Authority;
using layover::oci::canonical_repository;
using layover::oci::looks_like_registry;
using layover::oci::RegistryName;
using layover::oci::RepositoryName;

TEST_CASE("a registry name is a host with an optional port, in lower case") {
  const std::vector<std::pair<std::string, std::string>> names = {
      {"ghcr.io", "ghcr.io"},
      {"GHCR.io", "ghcr.io"},
      {"registry.internal:5000", "registry.internal:5000"},
      {"localhost", "localhost"},
      {"localhost:1", "localhost:1"},
      {"registry", "registry"},
      {"a-b.c--d.example", "a-b.c--d.example"},
      {"10.0.0.5:5000", "10.0.0.5:5000"},
      {"host:65535", "host:65535"},
      {"[::1]:5000", "[::1]:5000"},
      {"[2001:DB8:0:0::1]", "[2001:db8::1]"},
      {"1.example", "1.example"},
      {std::string(63, 'a') + ".example", std::string(63, 'a') + ".example"},
  };
  for (const auto& [text, expected] : names) {
    INFO(text);
    const auto name = RegistryName::parse(text);
    REQUIRE(name);
    CHECK(name->str() == expected);
    CHECK(name->authority().to_string() == expected);
  }
}

TEST_CASE("other text is no registry name") {
  const std::vector<std::string> rubbish = {
      "",
      ".",
      "a.",
      ".a",
      "a..b",
      "-a",
      "a-",
      "a-.b",
      "a_b",
      "a b",
      "a/b",
      "user@host",
      "user:pw@host",
      "host:",
      "host:0",
      "host:05000",
      "host:65536",
      "host:99999",
      "host:123456",
      "host:+80",
      "host:80:80",
      "host:80/",
      "host:80 ",
      " host",
      "host\r\n",
      "host\r\nX: y",
      "host%0d",
      "host%3A5000",
      "*",
      "a*",
      "https://host",
      "host?x",
      "host#x",
      "[",
      "[]",
      "[::1",
      "::1",
      "[::1]x",
      "[::1]:",
      "[::1%eth0]",
      "[127.0.0.1]",
      "[::g]",
      "1.2.3",
      "1.2.3.4.5",
      "1.2.3.256",
      "01.2.3.4",
      "127.1",
      "2130706433",
      "0x7f.1",
      "a.0x7f000001",
      "0x7f000001",
      "\xc3\xa9.example",
      std::string("host\0x", 6),
      std::string("[::1\0]", 6),
      std::string(64, 'a') + ".example",
      std::string(250, 'a') + ".example",
  };
  for (const std::string& text : rubbish) {
    INFO(text);
    CHECK_FALSE(RegistryName::parse(text));
  }
}

TEST_CASE("Docker Hub has one name") {
  for (const char* alias : {"docker.io", "index.docker.io", "registry-1.docker.io", "Index.Docker.IO"}) {
    INFO(alias);
    const auto name = RegistryName::parse(alias);
    REQUIRE(name);
    CHECK(*name == RegistryName::docker_io());
    CHECK(name->is_docker_io());
  }
  // These only look alike.
  CHECK_FALSE(RegistryName::parse("docker.io:5000")->is_docker_io());
  CHECK_FALSE(RegistryName::parse("auth.docker.io")->is_docker_io());
  CHECK_FALSE(RegistryName::parse("docker.io.example")->is_docker_io());
}

TEST_CASE("a host and its port come apart") {
  const auto plain = Authority::parse("Example.org");
  REQUIRE(plain);
  CHECK(plain->host == "example.org");
  CHECK_FALSE(plain->port);

  const auto ipv6 = Authority::parse("[::1]:5000");
  REQUIRE(ipv6);
  CHECK(ipv6->host == "::1");
  CHECK(ipv6->port == 5000);
  CHECK(ipv6->to_string() == "[::1]:5000");

  // Unlike a registry's name, a host stays what it is.
  CHECK(Authority::parse("index.docker.io")->to_string() == "index.docker.io");
}

TEST_CASE("an entry of a list of hosts covers its port, or the standard ones") {
  const auto bare = *Authority::parse("auth.example");
  CHECK(bare.covers("auth.example", 443));
  CHECK(bare.covers("auth.example", 80));
  CHECK_FALSE(bare.covers("auth.example", 8443));
  CHECK_FALSE(bare.covers("evil.example", 443));
  CHECK_FALSE(bare.covers("auth.example.evil.example", 443));

  const auto with_port = *Authority::parse("auth.example:8443");
  CHECK(with_port.covers("auth.example", 8443));
  CHECK_FALSE(with_port.covers("auth.example", 443));
}

TEST_CASE("the first component of a path is a registry if it could not be a Docker Hub name") {
  for (const char* text : {"ghcr.io", "localhost", "localhost:5000", "host:5000", "10.0.0.1", "[::1]:5000"}) {
    INFO(text);
    CHECK(looks_like_registry(text));
  }
  for (const char* text : {"library", "nginx", "localhost2", "a-b", "a_b", ""}) {
    INFO(text);
    CHECK_FALSE(looks_like_registry(text));
  }
}

TEST_CASE("one-component names on Docker Hub are in library/") {
  const auto hub = RegistryName::docker_io();
  const auto nginx = *RepositoryName::parse("nginx");
  CHECK(canonical_repository(hub, nginx).str() == "library/nginx");
  CHECK(canonical_repository(hub, *RepositoryName::parse("library/nginx")).str() == "library/nginx");
  CHECK(canonical_repository(hub, *RepositoryName::parse("grafana/loki")).str() == "grafana/loki");
  CHECK(canonical_repository(*RegistryName::parse("quay.io"), nginx).str() == "nginx");

  const auto longest = *RepositoryName::parse(std::string(255, 'a'));
  CHECK(canonical_repository(hub, longest) == longest);
}

TEST_CASE("registry names serve as keys") {
  const std::unordered_set<RegistryName> names = {*RegistryName::parse("docker.io"),
                                                  *RegistryName::parse("index.docker.io"),
                                                  *RegistryName::parse("ghcr.io")};
  CHECK(names.size() == 2);
  CHECK(*RegistryName::parse("docker.io") < *RegistryName::parse("ghcr.io"));
}
