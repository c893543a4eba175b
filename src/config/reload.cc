// Comparing two configurations in what is bound at the start.
#include "config/reload.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "config/rules.h"

namespace layover::config {

namespace {

std::vector<Endpoint> addresses_of(const Settings& settings) {
  std::vector<Endpoint> addresses;
  addresses.reserve(settings.listen.size());
  for (const Listener& listener : settings.listen) addresses.push_back(listener.address);
  std::ranges::sort(addresses);
  return addresses;
}

/// The running listeners, in their order, with what `next` says about their addresses.
std::vector<Listener> listeners_of(const Settings& running, const Settings& next) {
  std::vector<Listener> listeners = running.listen;
  for (Listener& listener : listeners) {
    const auto same = std::ranges::find(next.listen, listener.address, &Listener::address);
    if (same != next.listen.end()) listener = *same;
  }
  return listeners;
}

std::optional<std::string> find_problem(const Settings& next) {
  for (const Listener& listener : next.listen) {
    if (next.find(listener.default_registry) != nullptr) continue;
    return fmt::format(
        "{} still listens and its default registry is {}, which is not in \"registries\" any more",
        to_string(listener.address), listener.default_registry.str());
  }
  for (const auto& [name, registry] : next.registries) {
    if (auto exposed = exposed_credentials(registry, next.listen)) return exposed;
  }
  return std::nullopt;
}

}  // namespace

std::expected<std::vector<std::string>, std::string> keep_what_is_fixed(const Settings& running,
                                                                        Settings& next) {
  std::vector<std::string> differing;
  if (addresses_of(running) != addresses_of(next)) differing.emplace_back("listen");
  if (running.admin.listen != next.admin.listen) differing.emplace_back("admin.listen");
  if (running.cache.path != next.cache.path) differing.emplace_back("cache.path");
  if (running.threads != next.threads) differing.emplace_back("threads");
  next.listen = listeners_of(running, next);
  next.admin.listen = running.admin.listen;
  next.cache.path = running.cache.path;
  next.threads = running.threads;
  if (auto problem = find_problem(next)) return std::unexpected(std::move(*problem));
  return differing;
}

}  // namespace layover::config
