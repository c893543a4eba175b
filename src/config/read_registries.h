// The part of the walk over the configuration file that is about registries.
#pragma once

#include <map>

#include "config/read_settings.h"
#include "config/section.h"
#include "config/settings.h"
#include "oci/registry_name.h"

namespace layover::config {

/// `registries`: adds to `registries`, or overrides the settings of one that is there.
void read_registries(const Value& value, const ReadContext& context, const Times& defaults,
                     std::map<oci::RegistryName, Registry>& registries);

/// What can be judged only when the whole file has been read. `value` is `registries` again.
void check_registries(const Value& value, const Settings& settings);

/// The keys of `defaults`, which a registry may have too.
void read_times(Section& section, Times& times);

}  // namespace layover::config
