// Look-ups in the settings.
#include "config/settings.h"

namespace layover::config {

const Registry* Settings::find(const oci::RegistryName& name) const {
  const auto entry = registries.find(name);
  return entry == registries.end() ? nullptr : &entry->second;
}

}  // namespace layover::config
