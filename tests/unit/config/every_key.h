// A configuration that has every key that there is, with the files that it names; kept complete by
// schema_test.cc.
#pragma once

#include <string>
#include <string_view>

#include "tests/unit/config/certificate.h"
#include "tests/unit/config/fixture.h"

class EveryKey {
 public:
  /// What no output may contain: all passwords.
  static constexpr std::string_view kSecret = "hunter2";

  static constexpr std::string_view kText = R"({
    "listen": [{"address": "127.0.0.1:5000", "default_registry": "file.example"}, {"address": "[::1]:5000"}],
    "admin": {"listen": "127.0.0.1:5002"},
    "cache": {"path": "data", "max_size": "70%", "max_object": "1GiB", "min_free": "3GiB", "scrub_rate": "3MiB",
              "complete_abandoned": false, "prefetch": false},
    "defaults": {"tag_ttl": "2m", "not_found_ttl": "0s", "stale_ttl": "1d", "grant_ttl": "2h",
                 "connect_timeout": "3s", "response_timeout": "4s", "confirm_timeout": "500ms",
                 "idle_timeout": "6s", "first_byte_budget": "7s"},
    "limits": {"header_timeout": "1s", "send_timeout": "2s", "keep_alive": "3s", "max_header_bytes": "64KiB",
               "max_connections": 5000, "max_connections_per_client": 50},
    "threads": 7,
    "shutdown": {"delay": "5s", "grace": "1m30s"},
    "registries": {
      "file.example": {
        "url": "http://10.0.0.5:5001", "ca_file": "ca.pem", "shared": true,
        "credentials": {"username": "in-file", "password_file": "password"},
        "token_realms": ["auth.example", "auth.example:8443"], "allow_addresses": ["10.0.0.0/8", "fd00::1"],
        "mirrors": [
          {"url": "http://10.0.0.6:5001", "capabilities": ["pull", "resolve"], "ca_file": "ca.pem",
           "credentials": {"username": "in-file", "password_file": "password"}},
          {"url": "https://variable.example", "credentials": {"username": "v", "password_env": "PW"}},
          {"url": "https://docker.io", "credentials": {"docker_config": "docker.json"}}],
        "streams": 3, "prefetch": false, "max_connections": 40,
        "tag_ttl": "11s", "not_found_ttl": "12s", "stale_ttl": "13s", "grant_ttl": "14s",
        "connect_timeout": "15s", "response_timeout": "16s", "confirm_timeout": "17s", "idle_timeout": "18s",
        "first_byte_budget": "19s"},
      "variable.example:5000": {"credentials": {"username": "in-variable", "password_env": "PW"}},
      "docker.io": {"credentials": {"docker_config": "docker.json"}},
      "*": {"enabled": true}},
    "access": {"mode": "open"},
    "log": {"level": "debug", "format": "json", "requests": false}
  })";

  EveryKey() {
    directory_.write("ca.pem", layover::test::kCertificate);
    directory_.write("password", kSecret);
    // "in-docker:hunter2"
    directory_.write("docker.json", R"({"auths": {"docker.io": {"auth": "aW4tZG9ja2VyOmh1bnRlcjI="}}})");
    environment_.variables["PW"] = kSecret;
  }

  std::string path(const std::string& name) const { return directory_.path() + "/" + name; }
  const TestEnvironment& environment() const { return environment_; }
  layover::config::Settings load_all() const { return load(kText, environment_, path("layover.json")); }
  /// What the loader says to another text in the place of this one.
  layover::config::Problems problems(std::string_view text) const {
    const auto settings = layover::config::load_text(text, path("layover.json"), environment_.get());
    return settings ? layover::config::Problems{} : settings.error();
  }

 private:
  TemporaryDirectory directory_;
  TestEnvironment environment_;
};
