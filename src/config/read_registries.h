// The part of the walk over the configuration file that is about registries.
#pragma once

#include "config/read_settings.h"
#include "config/section.h"
#include "config/settings.h"

namespace layover::config {

/// `registries`: adds to those of `settings`, or overrides what one has that is there. Settings::defaults
/// must have been read.
void read_registries(const Value& value, const ReadContext& context, Settings& settings);

/// What can be judged only when the whole file has been read. `value` is `registries` again.
void check_registries(const Value& value, const Settings& settings);

/// The keys of `defaults`, which a registry may have too.
void read_times(Section& section, Times& times);

}  // namespace layover::config
