// The command line's settings, checked like those of the file.
#include <fmt/format.h>

#include <utility>

#include "config/load.h"
#include "config/rules.h"
#include "config/section.h"
#include "config/words.h"

namespace layover::config {
namespace {

void add(Problems& problems, std::string_view flag, std::string message) {
  problems.push_back({"", 0, 0, std::string(flag), std::move(message)});
}

std::optional<Endpoint> endpoint_of(std::string_view flag, const std::string& text, Problems& problems) {
  auto endpoint = parse_endpoint(text);
  if (!endpoint) {
    add(problems, flag,
        fmt::format("expected an IP address and a port, such as 0.0.0.0:5000, not \"{}\"", text));
  }
  return endpoint;
}

void replace_listeners(const std::vector<std::string>& texts, Settings& settings, Problems& problems) {
  const auto default_registry = settings.listen.front().default_registry;
  std::vector<Listener> listeners;
  for (const std::string& text : texts) {
    const auto endpoint = endpoint_of("--listen", text, problems);
    if (!endpoint) continue;
    for (const Listener& other : listeners) {
      if (!conflicts(*endpoint, other.address)) continue;
      add(problems, "--listen",
          fmt::format("{} and {} cannot both be listened on", to_string(*endpoint),
                      to_string(other.address)));
    }
    listeners.push_back({*endpoint, default_registry});
  }
  settings.listen = std::move(listeners);
}

// The settings of the file satisfy the rules, so it is the flags that break one.
void check_rules(const Overrides& overrides, const Settings& settings, Problems& problems) {
  const auto* flag = overrides.listen.empty() ? "--admin" : "--listen";
  for (const Listener& listener : settings.listen) {
    if (conflicts(listener.address, settings.admin.listen)) {
      add(problems, flag,
          fmt::format("{} cannot be listened on both for admin ({}) and for clients",
                      to_string(listener.address), to_string(settings.admin.listen)));
    }
  }
  for (const auto& [name, registry] : settings.registries) {
    if (auto problem = exposed_credentials(registry, settings.listen)) {
      add(problems, flag, std::move(*problem));
    }
  }
}

}  // namespace

Problems apply(const Overrides& overrides, const Environment& environment, Settings& settings) {
  Problems problems;
  Settings changed = settings;
  if (!overrides.listen.empty()) replace_listeners(overrides.listen, changed, problems);
  if (overrides.admin) {
    if (const auto endpoint = endpoint_of("--admin", *overrides.admin, problems)) {
      changed.admin.listen = *endpoint;
    }
  }
  if (overrides.cache) {
    if (overrides.cache->empty()) add(problems, "--cache", "expected the path of a directory");
    changed.cache.path = *overrides.cache;
  }
  if (overrides.max_size) {
    const auto space = parse_space(*overrides.max_size);
    if (space) changed.cache.max_size = *space;
    if (!space || space->is_zero()) {
      add(problems, "--max-size",
          fmt::format("expected {}, more than nothing, not \"{}\"", kExpectedSpace, *overrides.max_size));
    }
  }
  if (overrides.threads) {
    const auto threads = parse_threads(*overrides.threads, environment.processors);
    if (threads) changed.threads = *threads;
    if (!threads) {
      add(problems, "--threads",
          fmt::format("expected \"auto\" or a whole number from 1 to {}", kMostThreads));
    }
  }
  if (overrides.log_level) {
    const auto level = parse_log_level(*overrides.log_level);
    if (level) changed.log.level = *level;
    if (!level) add(problems, "--log-level", "expected " + one_of(log_level_names()));
  }
  check_rules(overrides, changed, problems);
  if (problems.empty()) settings = std::move(changed);
  return problems;
}

}  // namespace layover::config
