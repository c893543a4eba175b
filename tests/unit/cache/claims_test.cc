// A claim is one's alone, until its end.
#include "cache/claims.h"

#include <optional>
#include <string>

#include "tests/support/catch.h"
#include "tests/unit/cache/cache_fixture.h"

using namespace layover;
using namespace layover::test;

namespace {

net::Task<std::string> claim_and_tell(cache::Claims& claims, oci::Digest digest, std::string word) {
  const auto claim = co_await claims.claim(digest);
  co_return word + " has " + claim.digest().hex().substr(0, 4);
}

}  // namespace

TEST_CASE("a claimed digest is claimed by nobody else until the claim is given back") {
  cache::Claims claims;
  const auto digest = digest_of("a");
  std::optional<cache::Claim> claim = claims.try_claim(digest);
  REQUIRE(claim);
  CHECK_FALSE(claims.try_claim(digest));
  CHECK(claims.try_claim(digest_of("b")));
  cache::Claim moved = std::move(*claim);
  claim.reset();
  CHECK_FALSE(claims.try_claim(digest));
  {
    const cache::Claim ended = std::move(moved);
  }
  CHECK(claims.try_claim(digest));
}

TEST_CASE("who waits for a claim on another loop gets it when it is given back") {
  cache::Claims claims;
  const auto digest = digest_of("a");
  LoopThread first(0);
  LoopThread second(1);
  std::optional<cache::Claim> claim = claims.try_claim(digest);
  auto one = first.start([&] { return claim_and_tell(claims, digest, "one"); });
  auto other = second.start([&] { return claim_and_tell(claims, digest, "other"); });
  CHECK(one.wait_for(std::chrono::milliseconds(20)) == std::future_status::timeout);
  CHECK(other.wait_for(std::chrono::milliseconds(0)) == std::future_status::timeout);
  claim.reset();
  CHECK(LoopThread::wait_for(std::move(one)) == "one has " + digest.hex().substr(0, 4));
  CHECK(LoopThread::wait_for(std::move(other)) == "other has " + digest.hex().substr(0, 4));
  CHECK(claims.try_claim(digest));
}
