// Rules between settings that stand in different places, the same for the file and the command line.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "config/settings.h"

namespace layover::config {

/// Whether only one of the two can be bound: the same port on the same address, or on all addresses of the
/// family. Ports that the system chooses never conflict.
bool conflicts(const Endpoint& a, const Endpoint& b);

/// Why the credentials for a registry and its mirrors may not be used with these listeners under access.mode
/// open; nothing if they may. Without "shared", what they can read is not for everybody who can reach a
/// listener.
std::optional<std::string> exposed_credentials(const Registry& registry, std::span<const Listener> listeners);

}  // namespace layover::config
