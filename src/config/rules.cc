// The rules' tests and words.
#include "config/rules.h"

#include <algorithm>

#include <fmt/format.h>

namespace layover::config {
namespace {

bool is_any_address(const std::string& host) { return host == "0.0.0.0" || host == "::"; }
bool is_ipv6(const std::string& host) { return host.find(':') != std::string::npos; }

}  // namespace

bool conflicts(const Endpoint& a, const Endpoint& b) {
  if (a.port != b.port || a.port == 0) return false;
  if (a.host == b.host) return true;
  return is_ipv6(a.host) == is_ipv6(b.host) && (is_any_address(a.host) || is_any_address(b.host));
}

std::optional<std::string> exposed_credentials(const Registry& registry,
                                               std::span<const Listener> listeners) {
  const bool has_any =
      registry.credentials || std::ranges::any_of(registry.mirrors, [](const Mirror& mirror) {
        return mirror.credentials.has_value();
      });
  if (!has_any || registry.shared) return std::nullopt;
  for (const Listener& listener : listeners) {
    if (is_loopback(listener.address)) continue;
    return fmt::format(
        "under access.mode \"open\" everybody who reaches {} could read what the credentials for {} can "
        "read: say "
        "\"shared\": true beside them if that is meant, or listen on a loopback address",
        to_string(listener.address), registry.name.str());
  }
  return std::nullopt;
}

}  // namespace layover::config
