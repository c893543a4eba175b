// The public registries that layover may reach out of the box, and the token services that may see the
// credentials configured for them.
#pragma once

#include <map>

#include "config/settings.h"
#include "oci/registry_name.h"

namespace layover::config {

std::map<oci::RegistryName, Registry> well_known_registries(const Times& times);

/// A registry as it is before its settings are read: reached over https at its name, and at
/// registry-1.docker.io for docker.io; with the built-in token service if it is a well-known one.
Registry make_registry(const oci::RegistryName& name, const Times& times);

}  // namespace layover::config
