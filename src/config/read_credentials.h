// The keys of `credentials`, and the files and variables that they name.
#pragma once

#include "config/credentials.h"
#include "config/read_settings.h"
#include "config/section.h"
#include "oci/registry_name.h"

namespace layover::config {

/// Either a user name with a password from a file or a variable, or Docker's configuration. What is wrong is
/// reported, and never shows a secret.
Credentials read_credentials(const Value& value, const ReadContext& context,
                             const oci::RegistryName& registry);

}  // namespace layover::config
