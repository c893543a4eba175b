// The program: its commands.
#include <cstdio>
#include <string>

#include <fmt/format.h>

#include "config/load.h"
#include "config/show.h"
#include "proxy/command_line.h"
#include "proxy/effective_settings.h"
#include "proxy/healthcheck.h"
#include "proxy/revision.h"
#include "proxy/serve.h"

#ifndef LAYOVER_VERSION
#error "the build defines LAYOVER_VERSION"
#endif

namespace layover {
namespace {

int check_config(const std::string& file, const config::Environment& environment) {
  const auto settings = config::load_file(file, environment);
  if (settings) return proxy::kExitOk;
  fmt::print(stderr, "{}\n", config::to_string(settings.error()));
  return proxy::kExitWrong;
}

int show_config(const proxy::CommandLine& line, const config::Environment& environment) {
  const auto settings = proxy::effective_settings(line, environment);
  if (!settings) {
    fmt::print(stderr, "{}\n", config::to_string(settings.error()));
    return proxy::kExitWrong;
  }
  fmt::print("{}\n",
             config::show(*settings, line.is_json ? config::Layout::kOneLine : config::Layout::kIndented));
  return proxy::kExitOk;
}

int check_health(const config::Endpoint& admin) {
  const auto health = proxy::check_health(admin, Deadline::after(proxy::kHealthcheckPatience));
  if (health) return proxy::kExitOk;
  fmt::print(stderr, "layover: {}\n", health.error().describe());
  return proxy::kExitFailed;
}

int run(int argc, const char* const* argv) {
  const auto line = proxy::parse_command_line(argc, argv, LAYOVER_VERSION);
  if (!line) return line.error().status;
  const config::Environment environment = config::Environment::of_process();
  if (line->command == proxy::Command::kConfigCheck) return check_config(line->checked_file, environment);
  if (line->command == proxy::Command::kConfigShow) return show_config(*line, environment);
  if (line->command == proxy::Command::kHealthcheck) return check_health(line->checked_admin);
  return proxy::serve(*line, environment, {.version = LAYOVER_VERSION, .revision = LAYOVER_REVISION});
}

}  // namespace
}  // namespace layover

int main(int argc, char** argv) { return layover::run(argc, argv); }
