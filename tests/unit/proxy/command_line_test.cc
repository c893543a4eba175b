// The command line: what is understood, and how it ends where it is not.
#include "proxy/command_line.h"

#include <string>
#include <vector>

#include "tests/support/catch.h"

using layover::proxy::Command;
using layover::proxy::CommandLine;
using layover::proxy::Exit;

namespace {

std::expected<CommandLine, Exit> parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "layover");
  return layover::proxy::parse_command_line(static_cast<int>(arguments.size()), arguments.data(), "1.2.3");
}

}  // namespace

TEST_CASE("serve alone leaves everything to the configuration") {
  const auto line = parse({"serve"});
  REQUIRE(line);
  CHECK(line->command == Command::kServe);
  CHECK_FALSE(line->config_file);
  CHECK(line->overrides.listen.empty());
  CHECK_FALSE(line->overrides.cache);
}

TEST_CASE("each flag of serve is taken as typed; --listen may be repeated, of others the last counts") {
  const auto line = parse({"serve", "-c", "/etc/x.json", "--listen", "127.0.0.1:1", "--listen", "[::1]:2",
                           "--admin", "127.0.0.1:3", "--cache", "/a", "--cache", "/b", "--threads", "auto",
                           "--max-size", "1GiB", "--log-level", "debug"});
  REQUIRE(line);
  CHECK(line->config_file == "/etc/x.json");
  CHECK(line->overrides.listen == std::vector<std::string>{"127.0.0.1:1", "[::1]:2"});
  CHECK(line->overrides.admin == "127.0.0.1:3");
  CHECK(line->overrides.cache == "/b");
  CHECK(line->overrides.threads == "auto");
  CHECK(line->overrides.max_size == "1GiB");
  CHECK(line->overrides.log_level == "debug");
}

TEST_CASE("config check takes one file") {
  const auto line = parse({"config", "check", "file.json"});
  REQUIRE(line);
  CHECK(line->command == Command::kConfigCheck);
  CHECK(line->checked_file == "file.json");
}

TEST_CASE("config show takes a file or none, and a form for machines") {
  const auto plain = parse({"config", "show"});
  REQUIRE(plain);
  CHECK(plain->command == Command::kConfigShow);
  CHECK_FALSE(plain->config_file);
  CHECK_FALSE(plain->is_json);
  const auto line = parse({"config", "show", "-c", "file.json", "--json"});
  REQUIRE(line);
  CHECK(line->config_file == "file.json");
  CHECK(line->is_json);
}

TEST_CASE("healthcheck asks the default admin listener, or the one that is named") {
  const auto line = parse({"healthcheck"});
  REQUIRE(line);
  CHECK(line->command == Command::kHealthcheck);
  CHECK(to_string(line->checked_admin) == "127.0.0.1:5001");
  const auto named = parse({"healthcheck", "--admin", "[::1]:7001"});
  REQUIRE(named);
  CHECK(to_string(named->checked_admin) == "[::1]:7001");
}

TEST_CASE("help and version end with 0, wrong usage with 2") {
  const auto status = [](std::vector<const char*> arguments) {
    const auto line = parse(std::move(arguments));
    return line ? -1 : line.error().status;
  };
  CHECK(status({"--version"}) == 0);
  CHECK(status({"--help"}) == 0);
  CHECK(status({"serve", "--help"}) == 0);
  CHECK(status({}) == 2);
  CHECK(status({"unknown"}) == 2);
  CHECK(status({"serve", "--unknown"}) == 2);
  CHECK(status({"serve", "extra"}) == 2);
  CHECK(status({"serve", "--cache"}) == 2);
  CHECK(status({"config"}) == 2);
  CHECK(status({"config", "check"}) == 2);
  CHECK(status({"config", "show", "file.json"}) == 2);
  CHECK(status({"healthcheck", "--admin", "nowhere"}) == 2);
}
