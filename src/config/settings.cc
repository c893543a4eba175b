// Look-ups in the settings, and what follows from them.
#include "config/settings.h"

#include <algorithm>

#include "base/ascii.h"
#include "config/well_known.h"

namespace layover::config {

Bytes Cache::min_free_of(Bytes total) const {
  return min_free ? min_free->of(total) : std::min(5_GiB, Space::share(5).of(total));
}

const Registry* Settings::find(const oci::RegistryName& name) const {
  const auto entry = registries.find(name);
  return entry == registries.end() ? nullptr : &entry->second;
}

std::optional<Registry> Settings::find_other(const oci::RegistryName& name) const {
  const std::string host = name.authority().host;
  // A host is an IPv6 address where it has a colon, and an IPv4 address where its last part is a number.
  const auto last = host.substr(host.rfind('.') + 1);
  const bool is_address = host.contains(':') || std::ranges::all_of(last, is_digit);
  if (!others.enabled || is_address || is_private_host(host)) return std::nullopt;
  return make_registry(name, defaults);
}

}  // namespace layover::config
