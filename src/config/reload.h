// What of a changed configuration can take effect in a running process, and what waits for the next start.
#pragma once

#include <expected>
#include <string>
#include <vector>

#include "config/settings.h"

namespace layover::config {

/// Gives `next` what `running` was started with and cannot change: listen addresses, the admin address, the
/// cache's path and the number of threads. Returns the keys in which `next` differed, as in the file. A
/// listener whose address stays has its new default registry.
///
/// The error says why `next` must not be used with those: what the loader has checked holds for its own
/// addresses. `next` is then worthless.
[[nodiscard]] std::expected<std::vector<std::string>, std::string> keep_what_is_fixed(const Settings& running,
                                                                                      Settings& next);

}  // namespace layover::config
