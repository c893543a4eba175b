// The command line over the file.
#include <string>

#include "config/load.h"
#include "tests/support/catch.h"
#include "tests/unit/config/fixture.h"

using namespace layover;
using namespace layover::config;

namespace {

/// The problems of applying, one a line.
std::string applied(const Overrides& overrides, Settings& settings, const TestEnvironment& environment = {}) {
  return to_string(apply(overrides, environment.get(), settings));
}

}  // namespace

TEST_CASE("flags win over the file") {
  auto settings =
      load(R"({"listen": [{"address": "127.0.0.1:80", "default_registry": "ghcr.io"}], "threads": 9})");
  const Overrides overrides{.listen = {"127.0.0.1:6000", "[::1]:6000"},
                            .admin = "127.0.0.1:6001",
                            .cache = "relative/cache",
                            .max_size = "10GiB",
                            .threads = "2",
                            .log_level = "warning"};
  CHECK(applied(overrides, settings).empty());
  REQUIRE(settings.listen.size() == 2);
  CHECK(settings.listen[0].address == Endpoint{"127.0.0.1", 6000});
  CHECK(settings.listen[1].address == Endpoint{"::1", 6000});
  CHECK(settings.listen[1].default_registry.str() == "ghcr.io");
  CHECK(settings.admin.listen == Endpoint{"127.0.0.1", 6001});
  CHECK(settings.cache.path == "relative/cache");
  CHECK(settings.cache.max_size == Space::absolute(10_GiB));
  CHECK(settings.threads == 2);
  CHECK(settings.log.level == LogLevel::kWarning);

  CHECK(applied({.threads = "auto"}, settings).empty());
  CHECK(settings.threads == 3);
}

TEST_CASE("without flags the settings stay") {
  auto settings = load(R"({"threads": 9})");
  CHECK(applied({}, settings).empty());
  CHECK(settings.threads == 9);
  CHECK(settings.listen.size() == 1);
}

TEST_CASE("problems name their flags, all at once, and nothing is applied") {
  auto settings = load("{}");
  const Overrides overrides{.listen = {"5000", "127.0.0.1:1", "127.0.0.1:1"},
                            .admin = "x",
                            .cache = "",
                            .max_size = "0%",
                            .threads = "0",
                            .log_level = "loud"};
  CHECK(applied(overrides, settings) ==
        "--listen: expected an IP address and a port, such as 0.0.0.0:5000, not \"5000\"\n"
        "--listen: 127.0.0.1:1 and 127.0.0.1:1 cannot both be listened on\n"
        "--admin: expected an IP address and a port, such as 0.0.0.0:5000, not \"x\"\n"
        "--cache: expected the path of a directory\n"
        "--max-size: expected a share or a size with its unit, such as \"80%\" or "
        "\"100GiB\", more than nothing, not \"0%\"\n"
        "--threads: expected \"auto\" or a whole number from 1 to 1024\n"
        "--log-level: expected one of \"trace\", \"debug\", \"info\", \"warning\" or \"error\"\n");
  CHECK(settings.listen[0].address == Endpoint{"127.0.0.1", 5000});
  CHECK(settings.cache.path == "/var/lib/layover");
  CHECK(settings.cache.max_size == Space::share(80));
}

TEST_CASE("flags are under the rules of the file") {
  TestEnvironment environment;
  environment.variables["PW"] = "p";
  auto settings =
      load(R"({"registries": {"a.example": {"credentials": {"username": "u", "password_env": "PW"}}}})",
           environment);
  CHECK(
      applied({.listen = {"0.0.0.0:5000"}}, settings)
          .starts_with("--listen: under access.mode \"open\" everybody who reaches 0.0.0.0:5000 could read"));
  CHECK(settings.listen[0].address == Endpoint{"127.0.0.1", 5000});

  CHECK(applied({.listen = {"127.0.0.1:5001"}}, settings)
            .starts_with("--listen: 127.0.0.1:5001 cannot be listened on"));
  CHECK(applied({.admin = "127.0.0.1:5000"}, settings)
            .starts_with("--admin: 127.0.0.1:5000 cannot be listened on"));
  CHECK(applied({.listen = {"127.0.0.1:5001"}, .admin = "127.0.0.1:5000"}, settings).empty());
}
