// A registry as it is talked to: its settings made ready once, with the endpoints at which it can be asked.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "config/settings.h"
#include "metrics/metrics.h"
#include "net/keyed_table.h"
#include "net/tls.h"
#include "upstream/endpoint.h"

namespace layover::upstream {

/// Shared by all loops; immutable but for its endpoints' health.
class Registry {
 public:
  struct Mirror {
    std::shared_ptr<const Endpoint> endpoint;
    bool may_resolve = false;  // it may be asked for tags too, not by digest alone
  };
  /// The trust in the certificate authorities of a file; of an empty path: in the system's.
  using Trust = std::function<Result<std::shared_ptr<const net::TlsContext>>(const std::string& ca_file)>;

  /// What is known of the health of the endpoints of `before`, its predecessor, is kept where they are asked
  /// at the same place as the same user; null: there is none.
  static Result<std::shared_ptr<const Registry>> make(const config::Registry& settings, const Trust& trust,
                                                      const metrics::Metrics& metrics,
                                                      const Registry* before = nullptr);

  const config::Registry& settings() const { return settings_; }
  const std::string& name() const { return settings_.name.str(); }
  metrics::RegistryLabel label() const { return own_->label(); }
  /// Its own url: the only one whose refusals are believed.
  const std::shared_ptr<const Endpoint>& own() const { return own_; }
  /// In the order in which they are to be asked, before its own url.
  const std::vector<Mirror>& mirrors() const { return mirrors_; }
  /// How many ranges of one blob may be downloaded at once.
  unsigned streams() const;
  /// Of its own url.
  EndpointHealth& health() const { return own_->health(); }

  Registry(config::Registry settings, std::shared_ptr<const Endpoint> own, std::vector<Mirror> mirrors);

 private:
  std::shared_ptr<EndpointHealth> health_for(const config::Registry& settings) const;
  std::shared_ptr<EndpointHealth> health_for(const config::Mirror& mirror) const;

  config::Registry settings_;
  std::shared_ptr<const Endpoint> own_;
  std::vector<Mirror> mirrors_;
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

  const Registry* named(const oci::RegistryName& name) const;

  std::shared_ptr<const config::Settings> settings_;
  const metrics::Metrics* metrics_;
  std::map<oci::RegistryName, std::shared_ptr<const Registry>> named_;
  std::shared_ptr<const net::TlsContext> system_trust_;  // for the others; null unless `"*"` is enabled
  std::unique_ptr<Others> others_;
};

}  // namespace layover::upstream
