// WWW-Authenticate: real registries' headers, every form of the grammar, and hostile input.
#include "upstream/challenge.h"

#include <ctime>
#include <random>
#include <string>

#include "tests/support/catch.h"

using layover::upstream::Authentication;
using layover::upstream::Challenge;
using layover::upstream::choose;
using layover::upstream::parse_challenges;

TEST_CASE("Docker Hub's challenge gives realm, service and scope") {
  const auto chosen =
      choose(parse_challenges(R"(Bearer realm="https://auth.docker.io/token",service="registry.docker.io",)"
                              R"(scope="repository:library/busybox:pull",error="invalid_token")"));
  REQUIRE(chosen);
  CHECK(chosen->method == Authentication::Method::kBearer);
  CHECK(chosen->realm == "https://auth.docker.io/token");
  CHECK(chosen->service == "registry.docker.io");
  CHECK(chosen->scope == "repository:library/busybox:pull");
  CHECK(chosen->error == "invalid_token");
}

TEST_CASE("case, order and spaces do not matter") {
  const auto chosen =
      choose(parse_challenges(" bEARER   Scope = \"a b\" ,\tSERVICE=s, , rEaLm\t= \"https://r/t?x=1,2\" ,"));
  REQUIRE(chosen);
  CHECK(chosen->realm == "https://r/t?x=1,2");
  CHECK(chosen->service == "s");
  CHECK(chosen->scope == "a b");
}

TEST_CASE("quoted strings keep their commas and lose their escapes") {
  const auto challenges = parse_challenges(R"(Basic realm="a, b=\"c\" \\ Bearer realm=x", charset="UTF-8")");
  REQUIRE(challenges.size() == 1);
  CHECK(challenges[0].param("realm") == R"(a, b="c" \ Bearer realm=x)");
  CHECK(challenges[0].param("charset") == "UTF-8");
}

TEST_CASE("several challenges in one header are told apart") {
  const auto challenges = parse_challenges(
      R"(Negotiate, Basic realm="r", NTLM TlRMTVNTUAAC==, Newauth realm="n", type=1, title="T", Bearer)");
  REQUIRE(challenges.size() == 5);
  CHECK(challenges[0].scheme == "negotiate");
  CHECK(challenges[0].params.empty());
  CHECK(challenges[1].scheme == "basic");
  CHECK(challenges[1].param("realm") == "r");
  CHECK(challenges[2].token68 == "TlRMTVNTUAAC==");
  CHECK(challenges[3].params.size() == 3);
  CHECK(challenges[4].scheme == "bearer");
}

TEST_CASE("token68 is told from a parameter, with and without padding") {
  CHECK(parse_challenges("X abc=")[0].token68 == "abc=");
  CHECK(parse_challenges("X abc")[0].token68 == "abc");
  CHECK(parse_challenges("X a/b+c== , Y")[0].token68 == "a/b+c==");
  CHECK(parse_challenges("X abc=d")[0].param("abc") == "d");
  CHECK(parse_challenges("X abc = d")[0].param("abc") == "d");
}

TEST_CASE("challenges of several headers are gathered in order, and parameters stay with their header") {
  const std::string_view headers[] = {R"(Basic realm="b")", R"(stray="x", Bearer realm="https://r/")"};
  const auto challenges = parse_challenges(headers);
  REQUIRE(challenges.size() == 2);
  CHECK(challenges[0].params.size() == 1);
  CHECK(challenges[1].scheme == "bearer");
}

TEST_CASE("Bearer is chosen before Basic, wherever it stands") {
  CHECK(choose(parse_challenges(R"(Basic realm="b", Bearer realm="https://r/")"))->method ==
        Authentication::Method::kBearer);
  const auto basic = choose(parse_challenges(R"(Digest realm="d", Basic realm="b")"));
  REQUIRE(basic);
  CHECK(basic->method == Authentication::Method::kBasic);
  CHECK(basic->realm == "b");
}

TEST_CASE("a Bearer challenge without a realm cannot be answered") {
  CHECK_FALSE(choose(parse_challenges("Bearer service=\"s\"")));
  CHECK_FALSE(choose(parse_challenges("Bearer realm=\"\"")));
  CHECK_FALSE(choose(parse_challenges("Negotiate")));
  CHECK_FALSE(choose({}));
  CHECK(choose(parse_challenges("Bearer, Basic"))->method == Authentication::Method::kBasic);
  CHECK(choose(parse_challenges(R"(Bearer, Bearer realm="https://r/")"))->realm == "https://r/");
}

TEST_CASE("values without quotes are read up to the comma, as some services send them") {
  const auto chosen = choose(parse_challenges("Bearer realm=https://r:1/token?a=b,service=x:5000,scope="));
  REQUIRE(chosen);
  CHECK(chosen->realm == "https://r:1/token?a=b");
  CHECK(chosen->service == "x:5000");
  CHECK(chosen->scope.empty());
}

TEST_CASE("of a repeated parameter the first counts") {
  CHECK(choose(parse_challenges(R"(Bearer realm="https://a/", Realm="https://b/")"))->realm == "https://a/");
}

TEST_CASE("a parameter whose quote never closes is dropped") {
  const auto challenges = parse_challenges(R"(Bearer service="s", realm="https://r/)");
  REQUIRE(challenges.size() == 1);
  CHECK(challenges[0].param("realm").empty());
  CHECK(challenges[0].param("service") == "s");
  CHECK(parse_challenges(R"(Bearer realm="a\)")[0].param("realm").empty());
}

TEST_CASE("garbage between challenges is skipped") {
  const auto challenges = parse_challenges(R"(, ,"x, y", (z), Basic realm="b" junk "a,b", Bearer realm="r")");
  REQUIRE(challenges.size() == 2);
  CHECK(challenges[0].param("realm") == "b");
  CHECK(challenges[1].param("realm") == "r");
}

TEST_CASE("random input ends without harm") {
  constexpr std::string_view kPieces[] = {"Bearer", "Basic", " ",  ",",    "=", "\"", "\\",
                                          "realm",  "a",     "\t", "\x80", "/", "==", "\x01"};
  const unsigned seed = std::random_device()();
  CAPTURE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 20'000; ++round) {
    std::string value;
    for (auto length = random() % 24; length > 0; --length) value += kPieces[random() % std::size(kPieces)];
    const auto challenges = parse_challenges(value);
    choose(challenges);
    for (const Challenge& challenge : challenges) REQUIRE_FALSE(challenge.scheme.empty());
  }
}

TEST_CASE("a header of thousands of parameters takes no long time") {
  std::string value = "Bearer";
  for (int i = 0; i < 200'000; ++i) value += " p" + std::to_string(i) + "=1,";
  const std::clock_t start = std::clock();
  const auto challenges = parse_challenges(value);
  CHECK(challenges[0].params.size() <= 32);
  CHECK((std::clock() - start) / CLOCKS_PER_SEC < 5);
}
