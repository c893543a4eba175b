// What a 401 asks for: WWW-Authenticate taken apart (RFC 9110 11.6.1) and the one challenge that we
// answer chosen. Takes whatever a peer sends: what cannot be read is skipped, nothing fails.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace layover::upstream {

struct Challenge {
  std::string scheme;                                       // lower-case
  std::string token68;                                      // instead of parameters; mostly empty
  std::vector<std::pair<std::string, std::string>> params;  // lower-case names, each once (the first counts)

  /// The parameter of that lower-case name; empty where there is none.
  std::string_view param(std::string_view name) const;
};

/// All challenges of one header value, in the order sent.
std::vector<Challenge> parse_challenges(std::string_view value);
/// All challenges of several WWW-Authenticate headers.
std::vector<Challenge> parse_challenges(std::span<const std::string_view> values);

/// How to authenticate. Strings are as the peer sent them: the realm is still to be parsed as a URL
/// and vetted (DestinationPolicy).
struct Authentication {
  enum class Method { kBearer, kBasic };

  Method method = Method::kBearer;
  std::string realm;    // for Bearer: the token service's URL, never empty
  std::string service;  // Bearer only; may be empty
  std::string scope;    // Bearer only; may be empty
  std::string error;    // Bearer only: "invalid_token", "insufficient_scope" (RFC 6750 3.1), or empty
};

/// The first Bearer challenge with a realm, else the first Basic one; nothing if there is neither.
std::optional<Authentication> choose(const std::vector<Challenge>& challenges);

}  // namespace layover::upstream
