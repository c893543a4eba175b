// The token service's JSON answer, read with suspicion.
#include "upstream/token_response.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/ascii.h"

namespace layover::upstream {
namespace {

using nlohmann::json;

constexpr std::chrono::seconds kDefaultLifetime{60};  // Docker's token specification
constexpr std::chrono::seconds kLongestLifetime{std::chrono::hours(24)};

std::unexpected<Error> bad_answer(std::string_view reason) {
  return failure(ErrorCode::kProtocol, ErrorSource::kUpstream,
                 fmt::format("the token service's answer {}", reason));
}

std::string_view string_member(const json& object, const char* name) {
  const auto member = object.find(name);
  if (member == object.end() || !member->is_string()) return {};
  return member->get_ref<const std::string&>();
}

// The number of seconds, sound or not; some services send it as a string.
double seconds_of(const json& value) {
  if (value.is_number()) return value.get<double>();
  if (!value.is_string()) return 0;
  const auto& text = value.get_ref<const std::string&>();
  double seconds = 0;
  std::from_chars(text.data(), text.data() + text.size(), seconds);
  return seconds;
}

std::chrono::seconds lifetime_of(const json& object) {
  const auto member = object.find("expires_in");
  if (member == object.end()) return kDefaultLifetime;
  const double seconds = seconds_of(*member);
  if (!std::isfinite(seconds) || seconds <= 0) return kDefaultLifetime;
  const double longest = static_cast<double>(kLongestLifetime.count());
  return std::chrono::seconds(std::llround(std::clamp(std::floor(seconds), 1.0, longest)));
}

}  // namespace

Result<Token> parse_token_response(std::string_view body) {
  if (body.size() > kMaxTokenResponse.count) {
    return failure(
        ErrorCode::kTooLarge, ErrorSource::kUpstream,
        fmt::format("the token service's answer is larger than {} bytes", kMaxTokenResponse.count));
  }
  const json answer = json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!answer.is_object()) return bad_answer("is not a JSON object");

  std::string_view value = string_member(answer, "token");
  if (value.empty()) value = string_member(answer, "access_token");
  if (value.empty()) return bad_answer("has neither a \"token\" nor an \"access_token\"");
  if (!std::ranges::all_of(value, is_visible)) {
    return bad_answer("has a token with characters that no header may hold");
  }
  return Token{std::string(value), lifetime_of(answer)};
}

}  // namespace layover::upstream
