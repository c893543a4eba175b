// Every key that is supported, where it goes, and what holds without it.
#include "config/load.h"

#include <string>

#include "tests/support/catch.h"
#include "tests/unit/config/certificate.h"
#include "tests/unit/config/fixture.h"

using namespace layover;
using namespace layover::config;
using namespace std::chrono_literals;

TEST_CASE("without a file the embedded defaults hold") {
  const TestEnvironment environment;
  const auto settings = default_settings(environment.get());
  REQUIRE(settings.listen.size() == 1);
  CHECK(settings.listen[0].address == Endpoint{"127.0.0.1", 5000});
  CHECK(settings.listen[0].default_registry == oci::RegistryName::docker_io());
  CHECK(settings.admin.listen == Endpoint{"127.0.0.1", 5001});
  CHECK(settings.cache.path == "/var/lib/layover");
  CHECK(settings.cache.complete_abandoned);
  CHECK(settings.cache.max_size == Space::share(80));
  CHECK_FALSE(settings.cache.min_free);
  CHECK(settings.limits.header_timeout == 10s);
  CHECK(settings.limits.send_timeout == 60s);
  CHECK(settings.limits.keep_alive == 75s);
  CHECK(settings.limits.max_header_bytes == 32_KiB);
  CHECK(settings.limits.max_connections == 0);
  CHECK(settings.limits.max_connections_per_client == 0);
  CHECK(settings.shutdown.delay == 0s);
  CHECK(settings.shutdown.grace == 25s);
  CHECK(settings.threads == 3);
  CHECK(settings.access.mode == AccessMode::kOpen);
  CHECK(settings.log.level == LogLevel::kInfo);
  CHECK(settings.log.format == LogFormat::kText);
  CHECK(settings.log.requests);

  const auto& hub = registry_in(settings, "docker.io");
  CHECK(hub.times.tag_ttl == 1min);
  CHECK(hub.times.not_found_ttl == 5s);
  CHECK(hub.times.stale_ttl == 30 * 24h);
  CHECK(hub.times.grant_ttl == 24h);
  CHECK(hub.times.connect_timeout == 5s);
  CHECK(hub.times.response_timeout == 10s);
  CHECK(hub.times.confirm_timeout == 2s);
  CHECK(hub.times.idle_timeout == 30s);
  CHECK(hub.times.first_byte_budget == 20s);
}

TEST_CASE("an empty object means the defaults") {
  const auto settings = load("{}");
  CHECK(settings.listen.size() == 1);
  CHECK(settings.registries.size() == default_settings(TestEnvironment().get()).registries.size());
}

TEST_CASE("the well-known public registries are allowed out of the box") {
  const auto settings = load("{}");
  for (const char* name :
       {"ghcr.io", "quay.io", "gcr.io", "us.gcr.io", "eu.gcr.io", "asia.gcr.io", "k8s.gcr.io",
        "registry.k8s.io", "mcr.microsoft.com", "public.ecr.aws", "registry.gitlab.com", "lscr.io",
        "registry.access.redhat.com", "nvcr.io", "cgr.dev", "docker.elastic.co"}) {
    INFO(name);
    const auto& registry = registry_in(settings, name);
    CHECK(registry.name.str() == name);
    CHECK(to_string(registry.url) == std::string("https://") + name);
    CHECK_FALSE(registry.is_url_explicit);
    CHECK_FALSE(registry.credentials);
  }
  CHECK(settings.find(*oci::RegistryName::parse("registry.example")) == nullptr);
}

TEST_CASE("Docker Hub is reached at registry-1.docker.io with tokens from auth.docker.io") {
  const auto settings = load("{}");
  const auto& hub = registry_in(settings, "docker.io");
  CHECK(to_string(hub.url) == "https://registry-1.docker.io");
  REQUIRE(hub.built_in_token_hosts.size() == 1);
  CHECK(hub.built_in_token_hosts[0].to_string() == "auth.docker.io:443");
  CHECK(registry_in(settings, "registry.gitlab.com").built_in_token_hosts[0].covers("gitlab.com", 443));
  CHECK(registry_in(settings, "ghcr.io").built_in_token_hosts.empty());
}

TEST_CASE("every key goes to its setting") {
  const auto settings = load(R"(// comments are fine
  {
    "listen": [{"address": "0.0.0.0:80"}, {"address": "[::1]:81", "default_registry": "ghcr.io"}], /* here too */
    "admin": {"listen": "127.0.0.1:9000"},
    "cache": {"path": "/cache", "max_size": "100GB", "min_free": "7%", "complete_abandoned": false},
    "defaults": {"tag_ttl": "0s", "not_found_ttl": "9s", "stale_ttl": "1d", "grant_ttl": "2h", "connect_timeout": "3s", "response_timeout": "4s",
                 "confirm_timeout": "500ms", "idle_timeout": "6s", "first_byte_budget": "7s"},
    "limits": {"header_timeout": "1s", "send_timeout": "2s", "keep_alive": "3s", "max_header_bytes": "64KiB",
               "max_connections": 5000, "max_connections_per_client": 50},
    "threads": 7,
    "shutdown": {"delay": "5s", "grace": "1m"},
    "access": {"mode": "open"},
    "log": {"level": "debug", "format": "json", "requests": false}
  })");
  REQUIRE(settings.listen.size() == 2);
  CHECK(settings.listen[0].address == Endpoint{"0.0.0.0", 80});
  CHECK(settings.listen[0].default_registry.is_docker_io());
  CHECK(settings.listen[1].address == Endpoint{"::1", 81});
  CHECK(settings.listen[1].default_registry.str() == "ghcr.io");
  CHECK(settings.admin.listen == Endpoint{"127.0.0.1", 9000});
  CHECK(settings.cache.path == "/cache");
  CHECK_FALSE(settings.cache.complete_abandoned);
  CHECK(settings.cache.max_size == Space::absolute({100'000'000'000}));
  CHECK(settings.cache.min_free == Space::share(7));
  const Times expected{0s, 24h, 9s, 2h, 3s, 4s, 500ms, 6s, 7s};
  CHECK(registry_in(settings, "docker.io").times == expected);
  CHECK(registry_in(settings, "quay.io").times == expected);
  CHECK(settings.limits.header_timeout == 1s);
  CHECK(settings.limits.send_timeout == 2s);
  CHECK(settings.limits.keep_alive == 3s);
  CHECK(settings.limits.max_header_bytes == 64_KiB);
  CHECK(settings.limits.max_connections == 5000);
  CHECK(settings.limits.max_connections_per_client == 50);
  CHECK(settings.threads == 7);
  CHECK(settings.shutdown.delay == 5s);
  CHECK(settings.shutdown.grace == 1min);
  CHECK(settings.log.level == LogLevel::kDebug);
  CHECK(settings.log.format == LogFormat::kJson);
  CHECK_FALSE(settings.log.requests);
}

TEST_CASE("threads are a number, or as many as the process may use") {
  CHECK(load(R"({"threads": "auto"})").threads == 3);
  CHECK(load(R"({"threads": 1})").threads == 1);
  CHECK(load(R"({"threads": 1024})").threads == 1024);
}

TEST_CASE("times that may be nothing, and log levels") {
  const auto settings =
      load(R"({"defaults": {"stale_ttl": "0s", "grant_ttl": "0ms"}, "shutdown": {"grace": "0s"}})");
  CHECK(registry_in(settings, "docker.io").times.stale_ttl == 0s);
  CHECK(settings.shutdown.grace == 0s);
  CHECK(load(R"({"log": {"level": "trace"}})").log.level == LogLevel::kTrace);
  CHECK(load(R"({"log": {"level": "warning"}})").log.level == LogLevel::kWarning);
  CHECK(load(R"({"log": {"level": "error"}})").log.level == LogLevel::kError);
}

TEST_CASE("relative paths start where the file is") {
  CHECK(load(R"({"cache": {"path": "data"}})", {}, "/etc/layover/layover.json").cache.path ==
        "/etc/layover/data");
  CHECK(load(R"({"cache": {"path": "data"}})", {}, "conf/layover.json").cache.path == "conf/data");
  CHECK(load(R"({"cache": {"path": "data"}})", {}, "layover.json").cache.path == "data");
  CHECK(load(R"({"cache": {"path": "/data"}})", {}, "/etc/layover.json").cache.path == "/data");
  CHECK(load(R"({"cache": {"path": "data"}})", {}, "/layover.json").cache.path == "/data");
}

TEST_CASE("a file is loaded with what it names beside it") {
  const TemporaryDirectory directory;
  directory.write("ca.pem", layover::test::kCertificate);
  const auto path =
      directory.write("layover.json", R"({"registries": {"a.example": {"ca_file": "ca.pem"}}})");
  const auto settings = load_file(path, TestEnvironment().get());
  REQUIRE(settings);
  CHECK(registry_in(*settings, "a.example").ca_file == directory.path() + "/ca.pem");
}

TEST_CASE("a file that cannot be read is one problem with its name and the reason") {
  const TemporaryDirectory directory;
  const auto missing = load_file(directory.path() + "/none.json", TestEnvironment().get());
  REQUIRE_FALSE(missing);
  REQUIRE(missing.error().size() == 1);
  const auto text = to_string(missing.error()[0]);
  INFO(text);
  CHECK(text.starts_with(directory.path() + "/none.json: "));
  CHECK(text.find("No such file") != std::string::npos);
  CHECK_FALSE(load_file(directory.path(), TestEnvironment().get()));
}
