// What requests go by: the settings and what is made of them. A reload makes another one; each request keeps
// the one that it began with.
#pragma once

#include <memory>

#include "config/settings.h"
#include "upstream/registry.h"

namespace layover::proxy {

/// Immutable; shared by all loops.
struct Configuration {
  std::shared_ptr<const config::Settings> settings;
  upstream::Registries registries;
};

}  // namespace layover::proxy
