// Registries that answer expired credentials with something else than a 401: Amazon's with 403, its public
// one with 400, others as if there were nothing. It is believed once the credentials are fresh.
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/catch.h"
#include "tests/support/running_proxy.h"
#include "tests/support/scripted_tokens.h"

using namespace layover;
using namespace layover::test;

namespace {

std::string blob_of(ScriptedUpstream& upstream, const std::string& repository, unsigned seed) {
  return blob_path(repository, upstream.add_blob(repository, random_bytes(5000, seed)));
}

}  // namespace

TEST_CASE("a token that is refused without a 401 is renewed once, for all who had shown it") {
  const int status = GENERATE(403, 400);
  INFO(status);
  Site site;
  TokenService tokens(site.upstream);
  tokens.reject_with(status);
  CHECK(site.proxy.get(blob_of(site.upstream, "a", 1)).status == 200);
  tokens.revoke();
  std::vector<std::string> paths;
  for (unsigned i = 2; i < 22; ++i) paths.push_back(blob_of(site.upstream, "a", i));
  std::atomic<int> served{0};
  std::vector<std::thread> clients;
  for (const std::string& path : paths) {
    clients.emplace_back([&] { served += site.proxy.get(path).status == 200 ? 1 : 0; });
  }
  for (auto& client : clients) client.join();
  CHECK(served == 20);
  CHECK(site.upstream.count("GET", "/token") == 2);
}

TEST_CASE("what is refused with a fresh token is refused, and the next ones cost one request") {
  Site site;
  TokenService tokens(site.upstream);
  const std::string forbidden = blob_of(site.upstream, "a", 1);
  site.upstream.on("*", forbidden, [](const UpstreamRequest&, Reply& reply) {
    reply.answer(403, {{"Content-Type", "application/json"}},
                 R"({"errors":[{"code":"DENIED","message":"upstream says no"}]})");
  });
  for (int i = 0; i < 5; ++i) {
    const HttpAnswer answer = site.proxy.get(forbidden);
    CHECK(answer.status == 403);
    CHECK(answer.body.find("upstream says no") != std::string::npos);
  }
  CHECK(site.upstream.count("GET", "/token") == 2);
  // Asked with nothing and with the first token; with that and with the second; and then once each time.
  CHECK(site.upstream.count("GET", forbidden) == 2 + 2 + 3);
}

TEST_CASE("a refusal takes the right to stored content away only once the token is fresh") {
  const int status = GENERATE(403, 404);
  INFO(status);
  Site site;
  TokenService tokens(site.upstream);
  tokens.reject_with(status);
  const std::string path = blob_of(site.upstream, "a", 1);
  CHECK(site.proxy.get(path).status == 200);
  REQUIRE(site.proxy.settle());
  const int downloads = site.upstream.count("GET", path);
  site.proxy.clock().advance(std::chrono::hours(25));
  tokens.revoke();
  SECTION("it was the token") {
    const HttpAnswer answer = site.proxy.get(path);
    CHECK(answer.status == 200);
    CHECK(answer.header("x-cache") == "REVALIDATED");
    CHECK(site.upstream.count("GET", path) == downloads);
  }
  SECTION("it was not") {
    site.upstream.on("*", path,
                     [status](const UpstreamRequest&, Reply& reply) { reply.answer(status, {}, "{}"); });
    CHECK(site.proxy.get(path).status == status);
    site.upstream.go_down();
    CHECK(site.proxy.get(path).status != 200);
  }
  SECTION("the token service cannot tell") {
    tokens.refuse(500);
    for (int i = 0; i < 3; ++i) CHECK(site.proxy.get(path).header("x-cache") == "STALE");
  }
}
