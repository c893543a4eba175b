// The rules on where connections and credentials may go.
#include "upstream/destination_policy.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace layover::upstream {
namespace {

using net::AddressClass;
using net::Scheme;
using net::Url;

std::unexpected<Error> refuse(std::string message) {
  return failure(ErrorCode::kDenied, ErrorSource::kUpstream, std::move(message));
}

std::string_view name_of(DestinationPolicy::Purpose purpose) {
  switch (purpose) {
    case DestinationPolicy::Purpose::kRegistry: return "its own host";
    case DestinationPolicy::Purpose::kRedirect: return "a redirect";
    case DestinationPolicy::Purpose::kTokenRealm: return "its token service";
  }
  return "something";
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

// `entry` is "host", meaning the scheme's own port, or "host:port".
bool names(std::string_view entry, const Url& url) {
  if (equal_ignoring_case(entry, url.authority())) return true;
  return url.port == net::default_port(url.scheme) &&
         equal_ignoring_case(entry, fmt::format("{}:{}", url.authority(), url.port));
}

bool is_named_in(const std::vector<std::string>& entries, const Url& url) {
  return std::ranges::any_of(entries, [&](const std::string& entry) { return names(entry, url); });
}

}  // namespace

DestinationPolicy::DestinationPolicy(DestinationSettings settings) : settings_(std::move(settings)) {}

DestinationPolicy::Purpose DestinationPolicy::purpose_of(const Url& to, Purpose otherwise) const {
  return net::same_origin(to, settings_.url) ? Purpose::kRegistry : otherwise;
}

Result<void> DestinationPolicy::may_connect(const net::IpAddress& candidate, AddressClass own,
                                            Purpose purpose) const {
  const AddressClass wanted = net::classify(candidate);
  if (wanted == AddressClass::kPublic) return {};
  if (purpose == Purpose::kRegistry) {
    if (settings_.url_is_configured) return {};
    return refuse(fmt::format(
        "{0}: its host has the {1} address {2}, which only a configured url may have; if that is right, add "
        "\"url\": \"{3}://{4}\" to registries.\"{0}\"",
        settings_.registry, net::to_string(wanted), candidate.to_string(),
        net::to_string(settings_.url.scheme), settings_.url.authority()));
  }
  const bool may_follow_own = wanted == AddressClass::kPrivate || wanted == AddressClass::kLoopback;
  if (may_follow_own && settings_.url_is_configured && own == wanted) return {};
  const bool is_allowed = std::ranges::any_of(
      settings_.allow_addresses, [&](const net::Network& network) { return network.contains(candidate); });
  if (is_allowed) return {};
  return refuse(fmt::format(
      "{0}: {1} leads to the {2} address {3}, which is refused; if that is right, add \"{3}\" or its network "
      "to registries.\"{0}\".allow_addresses",
      settings_.registry, name_of(purpose), net::to_string(wanted), candidate.to_string()));
}

Result<void> DestinationPolicy::may_follow(const Url& from, const Url& to) const {
  if (from.scheme == Scheme::kHttp || to.scheme == Scheme::kHttps) return {};
  return refuse(fmt::format("{}: {} leads from https to plain http, to {}; that is never followed",
                            settings_.registry, from.without_query(), to.without_query()));
}

Result<void> DestinationPolicy::may_send_credentials(const Url& to) const {
  if (net::same_origin(to, settings_.url)) return {};
  if (to.scheme == Scheme::kHttp && settings_.url.scheme == Scheme::kHttps) {
    return refuse(fmt::format("{}: its credentials are not sent over plain http, to {}", settings_.registry,
                              to.without_query()));
  }
  if (is_named_in(settings_.built_in_token_hosts, to) || is_named_in(settings_.token_realms, to)) return {};
  return refuse(
      fmt::format("{0}: its credentials are not sent to {1}, which is not its own host; if that is its token "
                  "service, add "
                  "\"{2}\" to registries.\"{0}\".token_realms",
                  settings_.registry, to.without_query(), to.authority()));
}

}  // namespace layover::upstream
