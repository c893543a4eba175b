// Which registry: its host as a look-up key in the configuration, the cache and the metrics, never an
// address to dial. Aliases of Docker Hub are one name, so that its content has one entry.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "oci/reference.h"

namespace layover::oci {

/// A host with an optional port, as in a URL (RFC 3986 3.2, without user information).
struct Authority {
  std::string host;  // lower case; a DNS name, an IPv4 address, or an IPv6 address without brackets
  std::optional<std::uint16_t> port;

  /// Strict: a name's labels have letters, digits and inner dashes; a name whose last label is a number
  /// must be a dotted IPv4 address; IPv6 comes in brackets, without a zone; the port is 1 to 65535.
  static std::optional<Authority> parse(std::string_view text);

  /// "host", "host:port" or "[v6]:port".
  std::string to_string() const;

  /// Whether an entry of a list of hosts means this host and port: an entry without a port means the
  /// standard ones, 80 and 443. `other_host` is in the form of `host`.
  bool covers(std::string_view other_host, std::uint16_t other_port) const;

  friend auto operator<=>(const Authority&, const Authority&) = default;
};

/// Comparable and hashable; `str()` of equal registries is equal.
class RegistryName {
 public:
  /// An authority (see above). "index.docker.io" and "registry-1.docker.io" are "docker.io".
  static std::optional<RegistryName> parse(std::string_view text);
  static RegistryName docker_io();

  /// Lower case, with the port where one was given: "ghcr.io", "registry.internal:5000", "[::1]:5000".
  const std::string& str() const { return text_; }
  Authority authority() const;
  bool is_docker_io() const { return text_ == "docker.io"; }

  friend auto operator<=>(const RegistryName&, const RegistryName&) = default;

 private:
  explicit RegistryName(std::string text) : text_(std::move(text)) {}

  std::string text_;
};

/// Whether the first component of a path names a registry: it has a '.' or a ':' or is "localhost".
bool looks_like_registry(std::string_view path_component);

/// The repository as the registry itself knows it: on Docker Hub, "nginx" is "library/nginx". A name that
/// the prefix would make longer than a name may be is left alone; Docker Hub has none such.
RepositoryName canonical_repository(const RegistryName& registry, const RepositoryName& repository);

}  // namespace layover::oci

template <>
struct std::hash<layover::oci::RegistryName> {
  std::size_t operator()(const layover::oci::RegistryName& name) const noexcept {
    return std::hash<std::string>{}(name.str());
  }
};
