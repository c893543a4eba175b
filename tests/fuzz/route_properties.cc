// A route has only names that oci/ itself accepts, and the target that it would be written as leads back to
// it.
#include "tests/fuzz/route_properties.h"

#include <string>

#include "net/url.h"
#include "proxy/route.h"
#include "tests/fuzz/fuzz.h"

namespace layover::fuzz {
namespace {

using proxy::Resource;
using proxy::Route;

std::string_view noun_of(Resource resource) {
  switch (resource) {
    case Resource::kPing: break;
    case Resource::kManifest: return "manifests";
    case Resource::kBlob: return "blobs";
    case Resource::kTags: return "tags";
    case Resource::kReferrers: return "referrers";
  }
  return {};
}

/// The plainest target that asks for the same.
std::string written(const Route& route) {
  std::string target = "/v2/";
  if (route.repository) {
    if (route.registry && !route.has_ns) target += route.registry->str() + "/";
    target += route.repository->str() + "/";
    target += noun_of(route.resource);
    target += "/" + (route.reference ? route.reference->to_string() : "list");
  }
  char separator = '?';
  if (route.has_ns) {
    target += "?ns=" + net::percent_encode_query(route.registry->str());
    separator = '&';
  }
  if (!route.query.empty()) target += separator + route.query;
  return target;
}

bool are_equal(const Route& a, const Route& b) {
  return a.resource == b.resource && a.registry == b.registry && a.repository == b.repository &&
         a.reference == b.reference && a.has_ns == b.has_ns && a.query == b.query;
}

void check_names(const Route& route) {
  if (route.registry) {
    require(oci::RegistryName::parse(route.registry->str()) == route.registry, "a registry's name is valid");
  }
  if (route.repository) {
    require(oci::RepositoryName::parse(route.repository->str()) == route.repository,
            "a repository's name is valid");
  }
  if (route.reference) {
    require(oci::Reference::parse(route.reference->to_string()) == route.reference, "a reference is valid");
  }
}

void check_parts(const Route& route) {
  const bool is_digest = route.reference && route.reference->digest() != nullptr;
  require(route.repository.has_value() == (route.resource != Resource::kPing),
          "every resource but the ping is in a repository");
  switch (route.resource) {
    case Resource::kPing:
    case Resource::kTags: return require(!route.reference, "neither a ping nor a list has a reference");
    case Resource::kManifest: return require(route.reference.has_value(), "a manifest has a reference");
    case Resource::kBlob:
    case Resource::kReferrers: return require(is_digest, "a blob and referrers are named by digest");
  }
}

}  // namespace

void check_route(std::string_view target) {
  const auto route = proxy::parse_route(target);
  if (!route) {
    require(route.error().status >= 400 && route.error().status < 500, "a bad target is the client's fault");
    require(!has_control_character(route.error().message), "a message is one line");
    return;
  }
  check_names(*route);
  check_parts(*route);
  require(!("&" + route->query).contains("&ns="), "a query that is passed on names no registry");
  require(route->query.empty() || route->resource == Resource::kTags, "only lists have a query");
  const auto again = proxy::parse_route(written(*route));
  require(again && are_equal(*again, *route), "a route is read as it was written");

  const Route completed = complete(*route, oci::RegistryName::docker_io());
  require(completed.registry.has_value(), "a complete route has a registry");
  check_names(completed);
  check_parts(completed);
}

}  // namespace layover::fuzz
