// The list of the well-known registries.
#include "config/well_known.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace layover::config {
namespace {

struct WellKnown {
  std::string_view name;
  std::string_view token_host;  // empty: the registry's own host gives its tokens
};

constexpr std::array kWellKnown = {
    WellKnown{"docker.io", "auth.docker.io"},
    WellKnown{"ghcr.io", ""},
    WellKnown{"quay.io", ""},
    WellKnown{"gcr.io", ""},
    WellKnown{"us.gcr.io", ""},
    WellKnown{"eu.gcr.io", ""},
    WellKnown{"asia.gcr.io", ""},
    WellKnown{"k8s.gcr.io", ""},
    WellKnown{"registry.k8s.io", ""},
    WellKnown{"mcr.microsoft.com", ""},
    WellKnown{"public.ecr.aws", ""},
    WellKnown{"registry.gitlab.com", "gitlab.com"},
    // A front of ghcr.io that passes its challenges on.
    WellKnown{"lscr.io", "ghcr.io"},
    WellKnown{"registry.access.redhat.com", ""},
    // Named instead of its own host once a token has expired.
    WellKnown{"nvcr.io", "authn.nvidia.com"},
    WellKnown{"cgr.dev", ""},
    WellKnown{"docker.elastic.co", "docker-auth.elastic.co"},
};

constexpr std::uint16_t kHttpsPort = 443;

}  // namespace

Registry make_registry(const oci::RegistryName& name, const Times& times) {
  Registry registry{.name = name, .times = times};
  auto authority = name.authority();
  registry.url.host = name.is_docker_io() ? "registry-1.docker.io" : std::move(authority.host);
  registry.url.port = authority.port.value_or(kHttpsPort);
  const auto known = std::ranges::find(kWellKnown, name.str(), &WellKnown::name);
  if (known != kWellKnown.end() && !known->token_host.empty()) {
    registry.built_in_token_hosts.push_back({std::string(known->token_host), kHttpsPort});
  }
  return registry;
}

std::map<oci::RegistryName, Registry> well_known_registries(const Times& times) {
  std::map<oci::RegistryName, Registry> registries;
  for (const WellKnown& known : kWellKnown) {
    const auto name = oci::RegistryName::parse(known.name);
    registries.emplace(*name, make_registry(*name, times));
  }
  return registries;
}

}  // namespace layover::config
