// From a registry's settings to what talking to it needs.
#include "upstream/registry.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace layover::upstream {

namespace {

net::Url to_url(const config::RegistryUrl& url) {
  return {.scheme = url.is_tls ? net::Scheme::kHttps : net::Scheme::kHttp,
          .host = url.host,
          .port = url.port,
          .target = "/"};
}

Result<DestinationSettings> to_destinations(const config::Registry& settings) {
  DestinationSettings destinations{.registry = settings.name.str(),
                                   .url = to_url(settings.url),
                                   .url_is_configured = settings.is_url_explicit,
                                   .token_realms = {},
                                   .built_in_token_hosts = {},
                                   .allow_addresses = {}};
  for (const auto& realm : settings.token_realms) destinations.token_realms.push_back(realm.to_string());
  for (const auto& host : settings.built_in_token_hosts) {
    destinations.built_in_token_hosts.push_back(host.to_string());
  }
  for (const auto& network : settings.allow_addresses) {
    auto parsed = net::Network::parse(network.text);
    if (!parsed) return std::unexpected(parsed.error());
    destinations.allow_addresses.push_back(*parsed);
  }
  return destinations;
}

using Health = std::shared_ptr<EndpointHealth>;

/// `health` is what is known already, if anything.
Result<std::shared_ptr<const Endpoint>> make_endpoint(EndpointParts parts, const config::Registry& settings,
                                                      const std::string& ca_file,
                                                      const Registry::Trust& trust, Health health,
                                                      std::string_view consequence) {
  auto tls = trust(ca_file);
  if (!tls) return std::unexpected(tls.error());
  parts.tls = std::move(*tls);
  parts.health = health ? std::move(health) : std::make_shared<EndpointHealth>(parts.name, consequence);
  if (settings.max_connections > 0) {
    parts.connection_limit = std::make_shared<ConnectionLimit>(settings.max_connections, parts.name);
  }
  return std::make_shared<const Endpoint>(std::move(parts));
}

Result<std::shared_ptr<const Endpoint>> make_own(EndpointParts parts, const config::Registry& settings,
                                                 const Registry::Trust& trust, Health health) {
  auto destinations = to_destinations(settings);
  if (!destinations) return std::unexpected(destinations.error());
  parts.destinations = std::move(*destinations);
  parts.credentials = settings.credentials;
  return make_endpoint(std::move(parts), settings, settings.ca_file, trust, std::move(health),
                       "known tags and content are served stale meanwhile");
}

// What a mirror may lead to besides its own host is what its registry may.
Result<std::shared_ptr<const Endpoint>> make_mirror(EndpointParts parts, const config::Registry& settings,
                                                    const config::Mirror& mirror,
                                                    const Registry::Trust& trust, Health health) {
  auto destinations = to_destinations(settings);
  if (!destinations) return std::unexpected(destinations.error());
  parts.destinations = std::move(*destinations);
  parts.destinations.url = to_url(mirror.url);
  parts.destinations.url_is_configured = true;
  parts.destinations.built_in_token_hosts.clear();
  parts.is_mirror = true;
  parts.credentials = mirror.credentials;
  parts.name = fmt::format("{}'s mirror {}", settings.name.str(), config::to_string(mirror.url));
  return make_endpoint(std::move(parts), settings, mirror.ca_file, trust, std::move(health),
                       "it is passed over meanwhile");
}

}  // namespace

Registry::Registry(config::Registry settings, std::shared_ptr<const Endpoint> own,
                   std::vector<Mirror> mirrors)
    : settings_(std::move(settings)), own_(std::move(own)), mirrors_(std::move(mirrors)) {}

Result<std::shared_ptr<const Registry>> Registry::make(const config::Registry& settings, const Trust& trust,
                                                       const metrics::Metrics& metrics,
                                                       const Registry* before) {
  const std::string& name = settings.name.str();
  const auto within = [&](const Error& error) {
    return std::unexpected(error.within(fmt::format("the registry {}", name)));
  };
  EndpointParts common{.name = name,
                       .destinations = {},
                       .tls = nullptr,
                       .credentials = {},
                       .times = settings.times,
                       .label = metrics.registry(name),
                       .health = nullptr,
                       .connection_limit = nullptr};
  auto own = make_own(common, settings, trust, before ? before->health_for(settings) : nullptr);
  if (!own) return within(own.error());
  std::vector<Mirror> mirrors;
  mirrors.reserve(settings.mirrors.size());
  for (const config::Mirror& mirror : settings.mirrors) {
    auto made = make_mirror(common, settings, mirror, trust, before ? before->health_for(mirror) : nullptr);
    if (!made) return within(made.error());
    mirrors.push_back({.endpoint = std::move(*made), .may_resolve = mirror.may_resolve});
  }
  return std::make_shared<const Registry>(settings, std::move(*own), std::move(mirrors));
}

unsigned Registry::streams() const {
  const unsigned connections = settings_.max_connections;
  return connections == 0 ? settings_.streams : std::min(settings_.streams, connections);
}

std::shared_ptr<EndpointHealth> Registry::health_for(const config::Registry& settings) const {
  const bool is_same = settings.url == settings_.url && settings.credentials == settings_.credentials;
  return is_same ? own_->shared_health() : nullptr;
}

std::shared_ptr<EndpointHealth> Registry::health_for(const config::Mirror& mirror) const {
  for (std::size_t i = 0; i < mirrors_.size(); ++i) {
    const config::Mirror& known = settings_.mirrors[i];
    if (known.url == mirror.url && known.credentials == mirror.credentials) {
      return mirrors_[i].endpoint->shared_health();
    }
  }
  return nullptr;
}

Result<Registries> Registries::make(std::shared_ptr<const config::Settings> settings,
                                    const metrics::Metrics& metrics, const Registries* before) {
  Registries registries(settings, metrics);
  std::map<std::string, std::shared_ptr<const net::TlsContext>> trusted;
  const Registry::Trust trust =
      [&](const std::string& ca_file) -> Result<std::shared_ptr<const net::TlsContext>> {
    auto& tls = trusted[ca_file];
    if (tls) return tls;
    auto opened = net::TlsContext::client(ca_file);
    if (opened) tls = *opened;
    return opened;
  };
  for (const auto& [name, registry] : settings->registries) {
    auto made = Registry::make(registry, trust, metrics, before ? before->named(name) : nullptr);
    if (!made) return std::unexpected(made.error());
    registries.named_.emplace(name, std::move(*made));
  }
  if (settings->others.enabled) {
    auto tls = trust("");
    if (!tls) return std::unexpected(tls.error().within("the registries that \"*\" allows"));
    registries.system_trust_ = std::move(*tls);
  }
  return registries;
}

const Registry* Registries::named(const oci::RegistryName& name) const {
  const auto found = named_.find(name);
  return found == named_.end() ? nullptr : found->second.get();
}

std::shared_ptr<const Registry> Registries::find(const oci::RegistryName& name) const {
  if (const auto named = named_.find(name); named != named_.end()) return named->second;
  const auto settings = settings_->find_other(name);
  if (!settings) return nullptr;
  if (auto known = others_->find(name)) return known;
  if (others_->size() >= kMostOthers) others_->erase_if([](const Registry&) { return true; });
  const auto trust = [this](const std::string&) -> Result<std::shared_ptr<const net::TlsContext>> {
    return system_trust_;
  };
  auto made = Registry::make(*settings, trust, *metrics_);
  if (!made) return nullptr;
  return others_->find_or_insert(name, [&] { return std::move(*made); }).first;
}

}  // namespace layover::upstream
