// One place where a registry's content can be asked for, its own url or one of its mirrors: where it is, whom
// it is trusted by, who we are there, where it may lead to, and how it fares.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "config/settings.h"
#include "metrics/metrics.h"
#include "net/ip_address.h"
#include "net/tls.h"
#include "net/url.h"
#include "upstream/connection_limit.h"
#include "upstream/credential_helper.h"
#include "upstream/destination_policy.h"
#include "upstream/endpoint_health.h"

namespace layover::upstream {

/// What an endpoint is made of.
struct EndpointParts {
  std::string name;  // for people: "ghcr.io", or "the mirror https://mirror.example of ghcr.io"
  DestinationSettings destinations;  // its url among them
  std::shared_ptr<const net::TlsContext> tls;
  std::optional<config::Credentials> credentials;
  config::Times times;
  metrics::RegistryLabel label;  // mirrors count as their registry
  bool is_mirror = false;
  std::shared_ptr<EndpointHealth> health;
  std::shared_ptr<ConnectionLimit> connection_limit;  // null: none
};

/// Shared by all loops; immutable but for the class of its address and its health.
class Endpoint {
 public:
  explicit Endpoint(EndpointParts parts);

  const std::string& name() const { return parts_.name; }
  /// Tells apart endpoints of one url: what was got by the trust and the credentials of one, connections and
  /// tokens, is not another's.
  const std::string& identity() const { return identity_; }
  const net::Url& url() const { return parts_.destinations.url; }
  const DestinationPolicy& policy() const { return policy_; }
  const std::shared_ptr<const net::TlsContext>& tls() const { return parts_.tls; }
  const std::optional<config::Credentials>& credentials() const { return parts_.credentials; }
  /// Null unless the credentials come from a helper.
  const std::shared_ptr<CredentialHelper>& helper() const { return helper_; }
  const config::Times& times() const { return parts_.times; }
  metrics::RegistryLabel label() const { return parts_.label; }
  bool is_mirror() const { return parts_.is_mirror; }
  EndpointHealth& health() const { return *parts_.health; }
  const std::shared_ptr<EndpointHealth>& shared_health() const { return parts_.health; }
  /// Of the connections for all that is asked of it, wherever that leads to. Null: there is none.
  const std::shared_ptr<ConnectionLimit>& connection_limit() const { return parts_.connection_limit; }

  /// What kind of address its url was last reached at: redirects may lead to the same kind.
  net::AddressClass own_class() const { return own_class_.load(std::memory_order_relaxed); }
  void note_own_class(net::AddressClass own) const { own_class_.store(own, std::memory_order_relaxed); }

 private:
  EndpointParts parts_;
  std::string identity_;
  DestinationPolicy policy_;
  std::shared_ptr<CredentialHelper> helper_;  // shared with the jobs that ask it
  mutable std::atomic<net::AddressClass> own_class_{net::AddressClass::kPublic};
};

}  // namespace layover::upstream
