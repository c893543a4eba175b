// The token service's answer: the bearer token and for how long it may be used.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/error.h"

namespace layover::upstream {

/// Larger answers are refused.
inline constexpr Bytes kMaxTokenResponse = 64_KiB;

struct Token {
  std::string value;              // visible ASCII, fit for an Authorization header; a secret
  std::chrono::seconds lifetime;  // from when the request was sent; at least 1 s, at most a day
};

/// Reads the JSON body of a 200. `token` counts before `access_token`; `expires_in` that is absent or no
/// positive number means 60 s; `issued_at` is ignored, because clocks differ.
/// Fails with kProtocol (kTooLarge over the limit), source kUpstream; messages never contain the token.
Result<Token> parse_token_response(std::string_view body);

}  // namespace layover::upstream
