// The token service's answer: what makes a token, how long it lasts, what is refused.
#include "upstream/token_response.h"

#include <string>

#include "tests/support/catch.h"

using layover::ErrorCode;
using layover::ErrorSource;
using layover::upstream::kMaxTokenResponse;
using layover::upstream::parse_token_response;
using std::chrono::seconds;

namespace {

seconds lifetime(const std::string& expires_in) {
  const auto token = parse_token_response(R"({"token":"t","expires_in":)" + expires_in + "}");
  REQUIRE(token);
  return token->lifetime;
}

}  // namespace

TEST_CASE("the token is `token`, or else `access_token`") {
  CHECK(parse_token_response(R"({"token":"a"})")->value == "a");
  CHECK(parse_token_response(R"({"access_token":"b"})")->value == "b");
  CHECK(parse_token_response(R"({"token":"a","access_token":"b"})")->value == "a");
  CHECK(parse_token_response(R"({"token":"","access_token":"b"})")->value == "b");
  CHECK(parse_token_response(R"({"token":null,"access_token":"b"})")->value == "b");
}

TEST_CASE("a token lasts for expires_in, and for 60 s where that is absent or silly") {
  CHECK(parse_token_response(R"({"token":"t"})")->lifetime == seconds(60));
  CHECK(lifetime("300") == seconds(300));
  CHECK(lifetime("5") == seconds(5));
  CHECK(lifetime("\"300\"") == seconds(300));
  CHECK(lifetime("299.9") == seconds(299));
  CHECK(lifetime("0.5") == seconds(1));
  for (const auto* silly : {"0", "-1", "null", "true", "\"soon\"", "[]", "\"\"", "\"inf\"", "-1e300"}) {
    CAPTURE(silly);
    CHECK(lifetime(silly) == seconds(60));
  }
}

TEST_CASE("no token lasts longer than a day") {
  CHECK(lifetime("86400") == seconds(86400));
  CHECK(lifetime("99999999") == seconds(86400));
  CHECK(lifetime("18446744073709551615") == seconds(86400));
  CHECK(lifetime("1e300") == seconds(86400));
}

TEST_CASE("issued_at is ignored, because clocks differ") {
  const auto token =
      parse_token_response(R"({"token":"t","expires_in":300,"issued_at":"1999-01-01T00:00:00Z"})");
  CHECK(token->lifetime == seconds(300));
}

TEST_CASE("an answer that is no token is upstream's protocol error") {
  const auto* body = GENERATE("", "{", "[]", "null", "\"t\"", "{}", R"({"token":1})", R"({"token":""})",
                              R"({"token":["t"]})", "<html>", "{\"token\":\"\xff\"}", R"({"token":"t"} x)");
  CAPTURE(body);
  const auto token = parse_token_response(body);
  REQUIRE_FALSE(token);
  CHECK(token.error().code() == ErrorCode::kProtocol);
  CHECK(token.error().source() == ErrorSource::kUpstream);
}

TEST_CASE("a token that would not fit a header is refused and never shown") {
  for (const auto* text :
       {"secret\\r\\nX: y", "secret\\u0000", "secret word", "secret\\u00e4", "\\u007fsecret"}) {
    const auto token = parse_token_response(R"({"token":")" + std::string(text) + "\"}");
    CAPTURE(text);
    REQUIRE_FALSE(token);
    CHECK_THAT(token.error().message(), !Catch::Matchers::Contains("secret"));
  }
}

TEST_CASE("an answer over the limit is refused, however deep it is nested") {
  const std::string at_limit = R"({"token":")" + std::string(kMaxTokenResponse.count - 12, 'x') + "\"}";
  REQUIRE(at_limit.size() == kMaxTokenResponse.count);
  CHECK(parse_token_response(at_limit));
  CHECK(parse_token_response(at_limit + " ").error().code() == ErrorCode::kTooLarge);
  CHECK_FALSE(parse_token_response(std::string(kMaxTokenResponse.count, '[')));
  const std::string half(kMaxTokenResponse.count / 2, '[');
  CHECK_FALSE(parse_token_response(half + std::string(half.size(), ']')));
}
