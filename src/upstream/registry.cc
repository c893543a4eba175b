// From a registry's settings to what talking to it needs.
#include "upstream/registry.h"

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

Result<DestinationSettings> to_destinations(const config::Registry& settings, const net::Url& url) {
  DestinationSettings destinations{.registry = settings.name.str(),
                                   .url = url,
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

std::string next_identity(const oci::RegistryName& name) {
  static std::atomic<std::uint64_t> count{0};
  return fmt::format("{}#{}", name.str(), count.fetch_add(1, std::memory_order_relaxed));
}

}  // namespace

Registry::Registry(config::Registry settings, net::Url url, DestinationSettings destinations,
                   std::shared_ptr<const net::TlsContext> tls, metrics::RegistryLabel label, Health health)
    : settings_(std::move(settings)),
      identity_(next_identity(settings_.name)),
      url_(std::move(url)),
      policy_(std::move(destinations)),
      tls_(std::move(tls)),
      label_(label),
      health_(health ? std::move(health) : std::make_shared<RegistryHealth>(settings_.name.str())) {
  if (settings_.credentials && settings_.credentials->helper) {
    helper_ = std::make_shared<CredentialHelper>(*settings_.credentials->helper);
  }
}

Result<std::shared_ptr<const Registry>> Registry::make(const config::Registry& settings,
                                                       std::shared_ptr<const net::TlsContext> tls,
                                                       const metrics::Metrics& metrics, Health health) {
  const net::Url url = to_url(settings.url);
  auto destinations = to_destinations(settings, url);
  if (!destinations) {
    return std::unexpected(destinations.error().within(fmt::format("the registry {}", settings.name.str())));
  }
  return std::make_shared<const Registry>(settings, url, std::move(*destinations), std::move(tls),
                                          metrics.registry(settings.name.str()), std::move(health));
}

Registry::Health Registry::health_for(const config::Registry& settings) const {
  return settings.url == settings_.url && settings.credentials == settings_.credentials ? health_ : nullptr;
}

Registry::Health Registries::health_for(const config::Registry& settings) const {
  const auto known = named_.find(settings.name);
  return known == named_.end() ? nullptr : known->second->health_for(settings);
}

Result<Registries> Registries::make(std::shared_ptr<const config::Settings> settings,
                                    const metrics::Metrics& metrics, const Registries* before) {
  Registries registries(settings, metrics);
  std::map<std::string, std::shared_ptr<const net::TlsContext>> trusted;
  for (const auto& [name, registry] : settings->registries) {
    auto& tls = trusted[registry.ca_file];
    if (!tls) {
      auto opened = net::TlsContext::client(registry.ca_file);
      if (!opened) return std::unexpected(opened.error().within(fmt::format("the registry {}", name.str())));
      tls = std::move(*opened);
    }
    auto made = Registry::make(registry, tls, metrics, before ? before->health_for(registry) : nullptr);
    if (!made) return std::unexpected(made.error());
    registries.named_.emplace(name, std::move(*made));
  }
  if (settings->others.enabled) {
    auto& tls = trusted[""];
    if (!tls) {
      auto opened = net::TlsContext::client("");
      if (!opened) return std::unexpected(opened.error().within("the registries that \"*\" allows"));
      tls = std::move(*opened);
    }
    registries.system_trust_ = tls;
  }
  return registries;
}

std::shared_ptr<const Registry> Registries::find(const oci::RegistryName& name) const {
  if (const auto named = named_.find(name); named != named_.end()) return named->second;
  const auto settings = settings_->find_other(name);
  if (!settings) return nullptr;
  if (auto known = others_->find(name)) return known;
  if (others_->size() >= kMostOthers) others_->erase_if([](const Registry&) { return true; });
  auto made = Registry::make(*settings, system_trust_, *metrics_);
  if (!made) return nullptr;
  return others_->find_or_insert(name, [&] { return std::move(*made); }).first;
}

}  // namespace layover::upstream
