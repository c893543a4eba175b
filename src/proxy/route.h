// From a request's target to what it asks for. Paths are read from the right, since a repository may be
// called "blobs", "manifests" or "tags".
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "metrics/labels.h"
#include "oci/reference.h"
#include "oci/registry_name.h"
#include "oci/spec_error.h"

namespace layover::proxy {

enum class Resource {
  kPing,       // /v2/
  kManifest,   // /v2/<name>/manifests/<reference>
  kBlob,       // /v2/<name>/blobs/<digest>
  kTags,       // /v2/<name>/tags/list
  kReferrers,  // /v2/<name>/referrers/<digest>
};

metrics::Kind kind_of(Resource resource);

struct Route {
  Resource resource = Resource::kPing;
  /// Nothing: the listener's default (see complete).
  std::optional<oci::RegistryName> registry;
  /// As written; after complete(), as the registry itself knows it. Always there but for the ping.
  std::optional<oci::RepositoryName> repository;
  std::optional<oci::Reference> reference;
  bool has_ns = false;  // the registry was named by ?ns=
  std::string query{};  // of a list of tags: its parameters as they came, without ns
};

/// Why a target is no route: what to answer.
struct RouteFault {
  int status = 404;
  oci::SpecErrorCode code = oci::SpecErrorCode::kUnsupported;
  std::string message;
};

/// A query's parameters without `ns`, as they came.
std::string query_without_ns(std::string_view query);
/// "ns=..." as it came in `target`; empty where there is none.
std::string_view ns_parameter(std::string_view target);

/// `target` is a request's path and query. Any input.
std::expected<Route, RouteFault> parse_route(std::string_view target);

/// The route with its registry, where it named none, and with the repository as that registry knows it.
Route complete(Route route, const oci::RegistryName& default_registry);

}  // namespace layover::proxy
