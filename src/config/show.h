// The settings written back as a configuration file, for a person who wants to know what holds.
#pragma once

#include <cstdint>
#include <string>

#include "config/settings.h"

namespace layover::config {

enum class Layout : std::uint8_t { kIndented, kOneLine };

/// JSON that the loader reads as the same settings, if the files and variables that it names are there. What
/// was automatic is shown as it came out; `cache.min_free` and the keys of a registry are left out where they
/// are not set. Passwords are never in it, only where they came from. Paths are absolute: relative ones start
/// at the working directory.
std::string show(const Settings& settings, Layout layout);

}  // namespace layover::config
