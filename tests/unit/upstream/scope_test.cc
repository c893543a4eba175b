// The token request's URL.
#include "upstream/scope.h"

#include "tests/support/catch.h"

using layover::ErrorCode;
using layover::ErrorSource;
using layover::upstream::pull_scope;
using layover::upstream::token_url;

TEST_CASE("a pull asks for the pull scope of its repository") {
  CHECK(pull_scope("library/nginx") == "repository:library/nginx:pull");
}

TEST_CASE("service, scope and account are encoded into the realm's query") {
  CHECK(token_url("https://auth.docker.io/token",
                  {"registry.docker.io", pull_scope("library/nginx"), "a user&x"})
            ->to_string() ==
        "https://auth.docker.io/token?service=registry.docker.io&"
        "scope=repository%3Alibrary%2Fnginx%3Apull&account=a%20user%26x");
}

TEST_CASE("what is empty is left out") {
  CHECK(token_url("https://r/t", {"", pull_scope("a"), ""})->target == "/t?scope=repository%3Aa%3Apull");
  CHECK(token_url("https://r/t", {})->target == "/t");
}

TEST_CASE("a realm's own query is kept") {
  CHECK(token_url("https://r/t?a=b", {"s", "", ""})->target == "/t?a=b&service=s");
  CHECK(token_url("https://r/t?", {"s", "", ""})->target == "/t?service=s");
  CHECK(token_url("https://r/t?a=b&", {"s", "", ""})->target == "/t?a=b&service=s");
  CHECK(token_url("https://r?a=b#f", {"s", "", ""})->target == "/?a=b&service=s");
}

TEST_CASE("a hostile service or scope cannot leave its parameter") {
  CHECK(token_url("https://r/t", {"s&scope=repository:b:push\r\nHost: x#", "", ""})->target ==
        "/t?service=s%26scope%3Drepository%3Ab%3Apush%0D%0AHost%3A%20x%23");
}

TEST_CASE("a realm that is no absolute URL is upstream's protocol error") {
  for (const auto* realm : {"", "/token", "auth.example/token", "ftp://a/", "https://u:p@a/"}) {
    const auto url = token_url(realm, {});
    CAPTURE(realm);
    REQUIRE_FALSE(url);
    CHECK(url.error().code() == ErrorCode::kProtocol);
    CHECK(url.error().source() == ErrorSource::kUpstream);
  }
}
