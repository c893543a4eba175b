// What a token service answers: a token that can be sent in a header, for a time that makes sense.
#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "base/ascii.h"
#include "tests/fuzz/fuzz.h"
#include "upstream/token_response.h"

namespace layover::fuzz {

using namespace upstream;

void fuzz(std::string_view input) {
  const auto token = parse_token_response(input);
  if (!token) {
    require(!token.error().message().empty() && !has_control_character(token.error().message()),
            "a message is one line");
    return;
  }
  require(!token->value.empty() && std::ranges::all_of(token->value, is_visible),
          "a token can be sent in a header");
  require(token->lifetime >= std::chrono::seconds(1) && token->lifetime <= std::chrono::hours(24),
          "a token's lifetime makes sense");
  const nlohmann::json plain = {{"token", token->value}, {"expires_in", token->lifetime.count()}};
  const auto again = parse_token_response(plain.dump());
  require(again && again->value == token->value && again->lifetime == token->lifetime,
          "a token is read as it was written");
}

}  // namespace layover::fuzz
