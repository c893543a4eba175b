// The path is split before it is decoded, so that an encoded slash is never a separator; each part must
// then fit its grammar, which leaves no room for tricks.
#include "proxy/route.h"

#include <utility>
#include <vector>

#include "net/url.h"

namespace layover::proxy {

namespace {

using oci::SpecErrorCode;

/// `last` is a tag, of 128 characters at most; some registries page by tokens of their own.
constexpr std::size_t kLongestQuery = 1024;
/// A registry, a repository of up to five parts, a noun and a reference.
constexpr std::size_t kUsualParts = 8;

std::unexpected<RouteFault> fault(int status, SpecErrorCode code, std::string message) {
  return std::unexpected(RouteFault{.status = status, .code = code, .message = std::move(message)});
}

std::expected<std::vector<std::string>, RouteFault> split(std::string_view path) {
  std::vector<std::string> parts;
  parts.reserve(kUsualParts);
  for (;;) {
    const auto slash = path.find('/');
    auto decoded = net::percent_decode(path.substr(0, slash));
    if (!decoded) return fault(400, SpecErrorCode::kNameInvalid, "the path is not validly percent-encoded");
    if (decoded->find('/') != std::string::npos) {
      return fault(400, SpecErrorCode::kNameInvalid, "an encoded slash in the path");
    }
    parts.push_back(std::move(*decoded));
    if (slash == std::string_view::npos) return parts;
    path.remove_prefix(slash + 1);
  }
}

/// Cuts the first parameter off the front of a query.
std::string_view take_parameter(std::string_view& query) {
  const auto end = query.find('&');
  const std::string_view parameter = query.substr(0, end);
  query = end == std::string_view::npos ? std::string_view{} : query.substr(end + 1);
  return parameter;
}

std::string_view query_of(std::string_view target) {
  const auto mark = target.find('?');
  return mark == std::string_view::npos ? std::string_view{} : target.substr(mark + 1);
}

bool is_ns(std::string_view parameter) { return parameter.starts_with("ns="); }

std::expected<std::optional<oci::RegistryName>, RouteFault> registry_of_query(std::string_view query) {
  std::optional<oci::RegistryName> registry;
  while (!query.empty()) {
    const std::string_view parameter = take_parameter(query);
    if (!is_ns(parameter)) continue;
    const auto decoded = net::percent_decode(parameter.substr(3));
    auto parsed = decoded ? oci::RegistryName::parse(*decoded) : std::nullopt;
    if (!parsed) return fault(400, SpecErrorCode::kNameInvalid, "ns does not name a registry");
    if (registry && *registry != *parsed) return fault(400, SpecErrorCode::kNameInvalid, "ns is given twice");
    registry = std::move(parsed);
  }
  return registry;
}

struct Ending {
  Resource resource;
  std::size_t parts;  // how many of the path's last parts it takes
};

/// What the last parts of the path say; nothing where they say nothing we know.
std::optional<Ending> ending_of(const std::vector<std::string>& parts) {
  if (parts.size() < 3) return std::nullopt;
  const std::string& noun = parts[parts.size() - 2];
  if (noun == "manifests") return Ending{.resource = Resource::kManifest, .parts = 2};
  if (noun == "blobs") return Ending{.resource = Resource::kBlob, .parts = 2};
  if (noun == "referrers") return Ending{.resource = Resource::kReferrers, .parts = 2};
  if (noun == "tags" && parts.back() == "list") return Ending{.resource = Resource::kTags, .parts = 2};
  return std::nullopt;
}

std::string join(std::vector<std::string>::const_iterator begin,
                 std::vector<std::string>::const_iterator end) {
  std::string joined;
  for (auto part = begin; part != end; ++part) {
    if (part != begin) joined += '/';
    joined += *part;
  }
  return joined;
}

std::expected<void, RouteFault> read_name(Route& route, const std::vector<std::string>& parts,
                                          std::size_t count) {
  auto begin = parts.begin();
  const auto end = begin + static_cast<std::ptrdiff_t>(count);
  if (oci::looks_like_registry(*begin)) {
    const auto first = oci::RegistryName::parse(*begin);
    if (!route.registry) {
      if (!first) return fault(400, SpecErrorCode::kNameInvalid, "the path's first part names no registry");
      route.registry = first;
      ++begin;
    } else if (route.registry == first && count > 1) {
      ++begin;  // with override_path containerd sends both
    }
  }
  route.repository = oci::RepositoryName::parse(join(begin, end));
  if (!route.repository) return fault(400, SpecErrorCode::kNameInvalid, "the repository's name is not valid");
  return {};
}

std::expected<void, RouteFault> read_reference(Route& route, const std::string& text) {
  route.reference = oci::Reference::parse(text);
  const bool is_digest = route.reference && route.reference->digest() != nullptr;
  if (route.resource == Resource::kManifest) {
    if (route.reference) return {};
    if (text.find(':') != std::string::npos)
      return fault(400, SpecErrorCode::kDigestInvalid, "the digest is not valid");
    // The specification's conformance tests look for such a one, and expect not to find it.
    return fault(404, SpecErrorCode::kManifestUnknown, "the tag is not valid, so that there is none");
  }
  if (!is_digest) return fault(400, SpecErrorCode::kDigestInvalid, "the digest is not valid");
  return {};
}

}  // namespace

metrics::Kind kind_of(Resource resource) {
  switch (resource) {
    case Resource::kPing: return metrics::Kind::kPing;
    case Resource::kManifest: return metrics::Kind::kManifest;
    case Resource::kBlob: return metrics::Kind::kBlob;
    case Resource::kTags: return metrics::Kind::kTags;
    case Resource::kReferrers: return metrics::Kind::kReferrers;
  }
  return metrics::Kind::kOther;
}

std::string query_without_ns(std::string_view query) {
  std::string rest;
  while (!query.empty()) {
    const std::string_view parameter = take_parameter(query);
    if (parameter.empty() || is_ns(parameter)) continue;
    if (!rest.empty()) rest += '&';
    rest += parameter;
  }
  return rest;
}

std::string_view ns_parameter(std::string_view target) {
  std::string_view query = query_of(target);
  while (!query.empty()) {
    const std::string_view parameter = take_parameter(query);
    if (is_ns(parameter)) return parameter;
  }
  return {};
}

std::expected<Route, RouteFault> parse_route(std::string_view target) {
  const std::string_view path = target.substr(0, target.find('?'));
  const std::string_view query = query_of(target);
  if (path != "/v2" && !path.starts_with("/v2/")) {
    return fault(404, SpecErrorCode::kUnsupported, "only the registry API under /v2/ is served here");
  }
  Route route;
  auto registry = registry_of_query(query);
  if (!registry) return std::unexpected(registry.error());
  route.registry = std::move(*registry);
  route.has_ns = route.registry.has_value();
  if (path == "/v2" || path == "/v2/") return route;

  auto parts = split(path.substr(4));
  if (!parts) return std::unexpected(parts.error());
  const auto ending = ending_of(*parts);
  if (!ending) return fault(404, SpecErrorCode::kUnsupported, "no such resource in the registry API");
  route.resource = ending->resource;
  if (auto name = read_name(route, *parts, parts->size() - ending->parts); !name)
    return std::unexpected(name.error());
  if (route.resource == Resource::kTags) {
    route.query = query_without_ns(query);
    if (route.query.size() > kLongestQuery) {
      return fault(400, SpecErrorCode::kUnsupported, "the query is too long for a page of tags");
    }
  } else {
    if (auto reference = read_reference(route, parts->back()); !reference)
      return std::unexpected(reference.error());
  }
  return route;
}

Route complete(Route route, const oci::RegistryName& default_registry) {
  if (!route.registry) route.registry = default_registry;
  if (route.repository) route.repository = oci::canonical_repository(*route.registry, *route.repository);
  return route;
}

}  // namespace layover::proxy
