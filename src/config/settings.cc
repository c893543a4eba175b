// Look-ups in the settings, and what follows from them.
#include "config/settings.h"

#include <algorithm>

namespace layover::config {

Bytes Cache::min_free_of(Bytes total) const {
  return min_free ? min_free->of(total) : std::min(5_GiB, Space::share(5).of(total));
}

const Registry* Settings::find(const oci::RegistryName& name) const {
  const auto entry = registries.find(name);
  return entry == registries.end() ? nullptr : &entry->second;
}

}  // namespace layover::config
