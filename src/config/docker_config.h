// Docker's own configuration, config.json, as far as it says who we are to a registry: `auths`,
// `credHelpers` and `credsStore`, in Docker's order of precedence.
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "config/credentials.h"
#include "oci/registry_name.h"

namespace layover::config {

/// The credentials in `text` for a registry: a helper of `credHelpers`, else `credsStore`, else an entry of
/// `auths`. A key names the registry with or without a scheme and /v1/ or /v2/; any alias of Docker Hub will
/// do. The error, where there are none or they are unusable, names `path` and never tells a secret.
std::expected<Credentials, std::string> docker_credentials(std::string_view text, const std::string& path,
                                                           const oci::RegistryName& registry);

}  // namespace layover::config
