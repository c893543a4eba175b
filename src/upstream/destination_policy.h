// Where connections and credentials may go when an upstream leads us somewhere else (redirects, token
// realms), for one registry or one of its mirrors. Pure: the connector asks at each connect, with the
// address it is about to use, so that a name that changes its address is seen.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "net/ip_address.h"
#include "net/url.h"

namespace layover::upstream {

/// The settings of one registry (or mirror) that the policy needs.
struct DestinationSettings {
  std::string registry;  // its name in the configuration, for messages
  net::Url url;          // where it is reached
  /// The configuration names `url` (or this mirror's): that is itself the permission for what it names.
  /// False where the URL was made from the registry's name.
  bool url_is_configured = false;
  std::vector<std::string> token_realms;          // "host" or "host:port"
  std::vector<std::string> built_in_token_hosts;  // the same, known for a well-known registry
  std::vector<net::Network> allow_addresses;
};

/// Immutable, thread-safe. Refusals are kDenied, source kUpstream, and say what to add to the
/// configuration; they never repeat a query.
class DestinationPolicy {
 public:
  enum class Purpose {
    kRegistry,    // the registry's own URL
    kRedirect,    // a Location
    kTokenRealm,  // a Bearer challenge's realm
  };

  explicit DestinationPolicy(DestinationSettings settings);

  /// The purpose of going to `to`: kRegistry at the registry's own origin, `otherwise` elsewhere.
  Purpose purpose_of(const net::Url& to, Purpose otherwise) const;

  /// May we connect to `candidate`? `own` is the class of the address at which the registry's own URL was
  /// last reached (kPublic while that is unknown); it is not used for kRegistry.
  /// - kRegistry: anything where the URL is configured, else public addresses only;
  /// - otherwise: public; private or loopback where a configured URL led to the same class; anything in
  ///   `allow_addresses`.
  Result<void> may_connect(const net::IpAddress& candidate, net::AddressClass own, Purpose purpose) const;

  /// May a redirect at `from` lead to `to`, or a challenge at `from` name the realm `to`? Never from
  /// https to http.
  Result<void> may_follow(const net::Url& from, const net::Url& to) const;

  /// May the registry's credentials be sent to `to`? Its own origin, a built-in token host or one of
  /// `token_realms`; https unless the registry itself is plain http.
  Result<void> may_send_credentials(const net::Url& to) const;

 private:
  DestinationSettings settings_;
};

}  // namespace layover::upstream
