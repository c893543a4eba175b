// An absolute http or https URL, taken apart once at the edge (configuration, Location, token realm)
// and valid from then on: fit for a Host header and a request line as it stands.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace layover::net {

enum class Scheme { kHttp, kHttps };

/// "http" or "https".
std::string_view to_string(Scheme scheme);
constexpr std::uint16_t default_port(Scheme scheme) { return scheme == Scheme::kHttps ? 443 : 80; }

struct Url {
  Scheme scheme = Scheme::kHttps;
  std::string host;          // lower-case name, or an address; IPv6 in its canonical form, no brackets
  std::uint16_t port = 0;    // never 0 in a parsed Url
  std::string target = "/";  // path and query for the request line; starts with "/", has no fragment

  /// Absolute http and https only; without user information, spaces, control or non-ASCII characters.
  /// A fragment is dropped, the rest of path and query is kept as written. A host that ends in a number
  /// must be a dotted IPv4 address, so that "127.1" or "0x7f000001" name nothing.
  /// Fails with kInvalid, source kSelf; the message never repeats a query or user information.
  static Result<Url> parse(std::string_view text);

  /// The Host header's value: brackets around IPv6, the port only where it is not the scheme's own.
  std::string authority() const;
  std::string to_string() const;
  /// For logs and messages: a query may be a presigned secret.
  std::string without_query() const;

  friend bool operator==(const Url&, const Url&) = default;
};

/// What a Location means that was answered for `base` (RFC 3986 5.2), with the checks of Url::parse.
/// Fails with kProtocol, source kUpstream.
Result<Url> resolve(const Url& base, std::string_view reference);

/// RFC 6454: the same scheme, host and port.
bool same_origin(const Url& a, const Url& b);

/// Everything but RFC 3986's unreserved characters becomes %XX, so that the result stands for `text`
/// anywhere in a query.
std::string percent_encode_query(std::string_view text);

/// The inverse; "+" stays itself. An incomplete or non-hexadecimal escape and %00 are errors:
/// kInvalid, source kClient.
Result<std::string> percent_decode(std::string_view text);

}  // namespace layover::net
