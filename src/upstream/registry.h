// A registry as it is talked to: its settings made ready once (URL, policy, trust, metric label).
#pragma once

#include <atomic>
#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "base/error.h"
#include "config/settings.h"
#include "metrics/metrics.h"
#include "net/ip_address.h"
#include "net/keyed_table.h"
#include "net/tls.h"
#include "net/url.h"
#include "upstream/credential_helper.h"
#include "upstream/destination_policy.h"
#include "upstream/registry_health.h"

namespace layover::upstream {

/// Shared by all loops; immutable but for the class of its own address and its health.
class Registry {
 public:
  /// What is known of a registry's health where it had other settings before; null: nothing.
  using Health = std::shared_ptr<RegistryHealth>;

  static Result<std::shared_ptr<const Registry>> make(const config::Registry& settings,
                                                      std::shared_ptr<const net::TlsContext> tls,
                                                      const metrics::Metrics& metrics, Health health = {});

  const config::Registry& settings() const { return settings_; }
  const std::string& name() const { return settings_.name.str(); }
  /// Tells apart registries of one name: what was got by the trust and the credentials of one, connections
  /// and tokens, is not another's.
  const std::string& identity() const { return identity_; }
  const net::Url& url() const { return url_; }
  const DestinationPolicy& policy() const { return policy_; }
  const std::shared_ptr<const net::TlsContext>& tls() const { return tls_; }
  metrics::RegistryLabel label() const { return label_; }
  /// Null unless the credentials come from a helper.
  const std::shared_ptr<CredentialHelper>& helper() const { return helper_; }

  /// What kind of address the registry itself was last reached at: redirects may lead to the same kind.
  net::AddressClass own_class() const { return own_class_.load(std::memory_order_relaxed); }
  void note_own_class(net::AddressClass own) const { own_class_.store(own, std::memory_order_relaxed); }

  RegistryHealth& health() const { return *health_; }
  /// For the registry that takes this one's place with `settings`; null where these reach another place, or
  /// as somebody else.
  Health health_for(const config::Registry& settings) const;

  Registry(config::Registry settings, net::Url url, DestinationSettings destinations,
           std::shared_ptr<const net::TlsContext> tls, metrics::RegistryLabel label, Health health);

 private:
  config::Registry settings_;
  std::string identity_;
  net::Url url_;
  DestinationPolicy policy_;
  std::shared_ptr<const net::TlsContext> tls_;
  metrics::RegistryLabel label_;
  std::shared_ptr<CredentialHelper> helper_;  // shared with the jobs that ask it
  mutable std::atomic<net::AddressClass> own_class_{net::AddressClass::kPublic};
  Health health_;
};

/// The registries that may be reached. Shared by all loops; thread-safe.
class Registries {
 public:
  /// For start-up and reload: blocks. The error names the registry: kTls where its certificate authorities
  /// cannot be read. Registries with the same authorities share them, since reading the system's takes a
  /// while. What is known of the health of those in `before` is kept; null: there are none. Metrics outlive
  /// the result.
  static Result<Registries> make(std::shared_ptr<const config::Settings> settings,
                                 const metrics::Metrics& metrics, const Registries* before = nullptr);

  /// Null where the registry is not allowed. One that is allowed by `"*"` alone is made when it is asked for,
  /// and forgotten when there are too many: who still uses it keeps it.
  std::shared_ptr<const Registry> find(const oci::RegistryName& name) const;

  /// How many of those there are at most: names come from clients.
  static constexpr std::size_t kMostOthers = 1000;

 private:
  using Others = net::KeyedTable<oci::RegistryName, const Registry>;

  Registries(std::shared_ptr<const config::Settings> settings, const metrics::Metrics& metrics)
      : settings_(std::move(settings)), metrics_(&metrics), others_(std::make_unique<Others>()) {}

  Registry::Health health_for(const config::Registry& settings) const;

  std::shared_ptr<const config::Settings> settings_;
  const metrics::Metrics* metrics_;
  std::map<oci::RegistryName, std::shared_ptr<const Registry>> named_;
  std::shared_ptr<const net::TlsContext> system_trust_;  // for the others; null unless `"*"` is enabled
  std::unique_ptr<Others> others_;
};

}  // namespace layover::upstream
