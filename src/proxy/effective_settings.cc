// Which file, and the flags.
#include "proxy/effective_settings.h"

#include <utility>

#include "base/file_system.h"
#include "config/load.h"

namespace layover::proxy {

namespace {

constexpr const char* kDefaultConfig = "/etc/layover/layover.json";

}  // namespace

std::expected<config::Settings, config::Problems> effective_settings(const CommandLine& line,
                                                                     const config::Environment& environment) {
  std::expected<config::Settings, config::Problems> settings = config::default_settings(environment);
  if (line.config_file) {
    settings = config::load_file(*line.config_file, environment);
  } else if (FileSystem::system().status(kDefaultConfig)) {
    settings = config::load_file(kDefaultConfig, environment);
  }
  if (!settings) return settings;
  auto problems = config::apply(line.overrides, environment, *settings);
  if (!problems.empty()) return std::unexpected(std::move(problems));
  return settings;
}

}  // namespace layover::proxy
