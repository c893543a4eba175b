// Who may read what, and with which credentials: tokens, grants between repositories, and what clients are
// told of upstream's challenges.
#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "tests/support/catch.h"
#include "tests/support/running_proxy.h"
#include "tests/support/scripted_tokens.h"
#include "tests/support/test_loop.h"

using namespace layover;
using namespace layover::test;

TEST_CASE("one token serves a repository's requests on all loops, and is asked for once") {
  Site site;
  TokenService tokens(site.upstream);
  std::vector<std::string> paths;
  for (unsigned i = 0; i < 24; ++i)
    paths.push_back(blob_path("a", site.upstream.add_blob("a", random_bytes(5000, i))));
  std::vector<std::thread> clients;
  std::atomic<int> served{0};
  for (const std::string& path : paths) {
    clients.emplace_back([&] { served += site.proxy.get(path).status == 200 ? 1 : 0; });
  }
  for (auto& client : clients) client.join();
  CHECK(served == 24);
  CHECK(site.upstream.count("GET", "/token") == 1);
  const auto requests = site.upstream.requests();
  const auto asked = std::ranges::find(requests, "/token", &UpstreamRequest::path);
  REQUIRE(asked != requests.end());
  CHECK(asked->query() == "?x=1&service=test%2C%20service&scope=repository%3Aa%3Apull");
  CHECK(asked->header("authorization").empty());
}

TEST_CASE("a token that is refused early is renewed once, in the middle of a pull") {
  Site site;
  TokenService tokens(site.upstream);
  const auto path_of = [&](unsigned seed) {
    return blob_path("a", site.upstream.add_blob("a", random_bytes(5000, seed)));
  };
  CHECK(site.proxy.get(path_of(1)).status == 200);
  tokens.revoke();
  CHECK(site.proxy.get(path_of(2)).status == 200);
  CHECK(site.upstream.count("GET", "/token") == 2);
  // Twice refused is refused: no third token.
  site.upstream.before_all([&site](const UpstreamRequest& request, Reply& reply) {
    if (request.path() == "/token") return false;
    reply.answer(401, {{"WWW-Authenticate", fmt::format("Bearer realm=\"{}/token\"", site.upstream.url())}},
                 "");
    return true;
  });
  const HttpAnswer refused = site.proxy.get(path_of(3));
  CHECK(refused.status == 401);
  CHECK(site.upstream.count("GET", "/token") == 3);
}

TEST_CASE("a token is renewed shortly before it expires, without a refused request") {
  Site site;
  TokenService tokens(site.upstream);
  tokens.set_lifetime(1);
  CHECK(site.proxy.get(blob_path("a", site.upstream.add_blob("a", "one"))).status == 200);
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  CHECK(site.proxy.get(blob_path("a", site.upstream.add_blob("a", "two"))).status == 200);
  CHECK(site.upstream.count("GET", "/token") == 2);
}

TEST_CASE("a token service that fails is told to the clients and forgotten") {
  Site site;
  TokenService tokens(site.upstream);
  const std::string path = blob_path("a", site.upstream.add_blob("a", "content"));
  for (const int status : {500, 403, 401}) {
    tokens.refuse(status);
    const HttpAnswer answer = site.proxy.get(path);
    CHECK(answer.status == (status == 500 ? 502 : status));
  }
  tokens.refuse(0);
  CHECK(site.proxy.get(path).status == 200);
}

TEST_CASE("a token service that is lost or ill is an outage: what was granted is served stale and stays so") {
  const int status = GENERATE(404, 500);
  INFO(status);
  Site site;
  TokenService tokens(site.upstream);
  site.upstream.add_tag("a", "v1", image_manifest());
  const std::vector<std::string> paths{manifest_path("a", "v1"),
                                       blob_path("a", site.upstream.add_blob("a", random_bytes(200'000)))};
  const auto expect_all = [&](const std::string& how) {
    for (const std::string& path : paths) {
      const HttpAnswer answer = site.proxy.get(path);
      CHECK(answer.status == 200);
      CHECK(answer.is_complete);
      CHECK(answer.header("x-cache") == how);
    }
  };
  for (const std::string& path : paths) {
    CHECK(site.proxy.get(path).status == 200);
    REQUIRE(site.proxy.settle());
  }
  // From here on each request has to confirm its grant, and needs a new token for that.
  site.proxy.clock().advance(std::chrono::hours(25));
  tokens.revoke();
  tokens.refuse(status);
  const int asked_before = site.upstream.count("GET", "/token");
  expect_all("STALE");
  CHECK(site.upstream.count("GET", "/token") > asked_before);
  SECTION("when it works again, the grants are confirmed") {
    tokens.refuse(0);
    // Any answer ends the outage.
    CHECK(site.proxy.get(blob_path("a", site.upstream.add_blob("a", "other"))).status == 200);
    expect_all("REVALIDATED");
  }
  SECTION("when the registry fails as well, they still hold") {
    site.upstream.go_down();
    expect_all("STALE");
  }
}

TEST_CASE("an endless answer of the token service is cut off") {
  Site site;
  TokenService tokens(site.upstream);
  site.upstream.on("GET", "/token", [](const UpstreamRequest&, Reply& reply) {
    reply.head(200, {{"Content-Type", "application/json"}});
    const std::string part(100'000, ' ');
    for (int i = 0; i < 100; ++i) reply.write(part);
    reply.close();
  });
  CHECK(site.proxy.get(blob_path("a", site.upstream.add_blob("a", "content"))).status == 502);
  CHECK(site.proxy.metric("layover_upstream_received_bytes_total{registry=\"r.test\"}") < 1'000'000);
}

TEST_CASE("clients neither see upstream's challenge nor is what they send passed on") {
  Site site;
  site.upstream.before_all([](const UpstreamRequest&, Reply& reply) {
    reply.answer(401, {{"WWW-Authenticate", "Basic realm=\"upstream\""}}, "");
    return true;
  });
  const std::string path = blob_path("a", "sha256:" + std::string(64, 'a'));
  const HttpAnswer answer = site.proxy.get(path, {{"Authorization", "Basic c2VjcmV0OnNlY3JldA=="}});
  CHECK(answer.status == 401);
  CHECK_FALSE(answer.has_header("www-authenticate"));
  for (const UpstreamRequest& request : site.upstream.requests())
    CHECK(request.header("authorization").empty());
}

TEST_CASE("configured credentials go to the registry and its token service on the same host, nobody else") {
  ScriptedUpstream elsewhere;
  ScriptedUpstream upstream;
  config::Registry registry = registry_at("r.test", upstream);
  registry.credentials = config::Credentials{.username = "user", .password = "secret"};
  RunningProxy proxy(settings_with({registry}));
  SECTION("its own token service") {
    TokenService tokens(upstream);
    CHECK(proxy.get(blob_path("a", upstream.add_blob("a", "content"))).status == 200);
    const auto requests = upstream.requests();
    const auto asked = std::ranges::find(requests, "/token", &UpstreamRequest::path);
    REQUIRE(asked != requests.end());
    CHECK(asked->header("authorization") == "Basic dXNlcjpzZWNyZXQ=");
    CHECK(asked->query().find("account=user") != std::string::npos);
  }
  SECTION("a token service elsewhere") {
    upstream.before_all([&](const UpstreamRequest&, Reply& reply) {
      reply.answer(401, {{"WWW-Authenticate", fmt::format("Bearer realm=\"{}/token\"", elsewhere.url())}},
                   "");
      return true;
    });
    const HttpAnswer answer = proxy.get(blob_path("a", upstream.add_blob("a", "content")));
    CHECK(answer.status == 502);
    CHECK(answer.body.find("token_realms") != std::string::npos);
    CHECK(elsewhere.connections() == 0);
  }
  SECTION("Basic, as the registry asks for it") {
    upstream.before_all([](const UpstreamRequest& request, Reply& reply) {
      if (request.header("authorization") == "Basic dXNlcjpzZWNyZXQ=") return false;
      reply.answer(401, {{"WWW-Authenticate", "Basic realm=\"r\""}}, "");
      return true;
    });
    CHECK(proxy.get(blob_path("a", upstream.add_blob("a", "content"))).status == 200);
  }
}

TEST_CASE("credentials that are refused once more are upstream's 401, told at once and asked for once") {
  ScriptedUpstream upstream;
  config::Registry registry = registry_at("r.test", upstream);
  registry.credentials = config::Credentials{.username = "user", .password = "outdated"};
  std::string challenge = "Basic realm=\"r\"";
  SECTION("by Basic") {}
  SECTION("by a token service that gives the same token again") {
    challenge = fmt::format("Bearer realm=\"{}/token\"", upstream.url());
  }
  upstream.before_all([challenge](const UpstreamRequest& request, Reply& reply) {
    if (request.path() == "/token") return false;
    reply.answer(401, {{"WWW-Authenticate", challenge}}, "");
    return true;
  });
  upstream.on("GET", "/token", [](const UpstreamRequest&, Reply& reply) {
    reply.answer(200, {{"Content-Type", "application/json"}}, R"({"token":"always-this","expires_in":300})");
  });
  RunningProxy proxy(settings_with({registry}));
  const std::string path = blob_path("a", "sha256:" + std::string(64, 'a'));
  for (int i = 0; i < 3; ++i) CHECK(proxy.get(path).status == 401);
  CHECK(upstream.count("GET", "/token") <= 3);
}

TEST_CASE("cached under A and refused under B: upstream's status and not a byte, in every way of asking") {
  std::atomic<int> status{403};
  Site site;
  const std::string bytes = random_bytes(800'000);
  const std::string digest = site.upstream.add_blob("public", bytes);
  const std::string forbidden = blob_path("private", digest);
  site.upstream.on("*", forbidden, [&status](const UpstreamRequest&, Reply& reply) {
    reply.answer(status, {{"Content-Type", "application/json"}},
                 R"({"errors":[{"code":"DENIED","message":"upstream says no"}]})");
  });
  const auto expect_refusal = [&](int expected) {
    const std::vector<HttpAnswer> answers{
        site.proxy.get(forbidden), site.proxy.get(forbidden, {{"Range", "bytes=0-99"}}),
        site.proxy.get(forbidden, {{"Range", "bytes=-1"}}), site.proxy.head(forbidden)};
    for (const HttpAnswer& answer : answers) {
      CHECK(answer.status == expected);
      CHECK(answer.body.find(bytes.substr(0, 16)) == std::string::npos);
      CHECK_FALSE(answer.has_header("docker-content-digest"));
      CHECK_FALSE(answer.has_header("content-range"));
    }
  };
  Gate& gate = site.upstream.gate();
  site.upstream.on("GET", blob_path("public", digest), pausing(bytes, 400'000, gate));
  HttpClient client(site.proxy.address());
  client.request("GET", blob_path("public", digest));
  HttpAnswer answer = client.read_head();
  client.read_some(answer, 1000);
  expect_refusal(403);  // during the download
  gate.open();
  while (client.read_some(answer, SIZE_MAX)) {
  }
  CHECK(answer.body == bytes);
  REQUIRE(site.proxy.settle());
  for (const int refused : {403, 401, 404}) {
    status = refused;
    expect_refusal(refused);
  }
  site.upstream.go_down();
  expect_refusal(502);
  CHECK(site.proxy.get(blob_path("public", digest)).body == bytes);
}

TEST_CASE("a registry that answers no HEAD still confirms a second repository, and an old grant, by GET") {
  // Such as 405, or 404 until the first GET (Harbor's proxy projects).
  for (const int status : {404, 405, 501}) {
    INFO(status);
    Site site;
    const std::string bytes = random_bytes(200'000);
    std::string digest;
    for (const char* repository : {"a", "b"}) {
      digest = site.upstream.add_blob(repository, bytes);
      site.upstream.on("HEAD", blob_path(repository, digest),
                       [status](const UpstreamRequest&, Reply& reply) { reply.answer(status, {}, ""); });
    }
    CHECK(site.proxy.get(blob_path("a", digest)).body == bytes);
    REQUIRE(site.proxy.settle());
    const HttpAnswer second = site.proxy.get(blob_path("b", digest));
    CHECK(second.body == bytes);
    CHECK(second.header("x-cache") == "REVALIDATED");
    site.proxy.clock().advance(std::chrono::hours(25));
    CHECK(site.proxy.get(blob_path("a", digest)).body == bytes);
  }
}

TEST_CASE("a wrong length by HEAD costs nobody what is stored") {
  Site site;
  const std::string bytes = random_bytes(200'000);
  const std::string digest = site.upstream.add_blob("a", bytes);
  CHECK(site.proxy.get(blob_path("a", digest)).body == bytes);
  REQUIRE(site.proxy.settle());
  site.upstream.on("HEAD", blob_path("b", digest),
                   [](const UpstreamRequest&, Reply& reply) { reply.head(200, {{"Content-Length", "0"}}); });
  for (int i = 0; i < 3; ++i) CHECK(site.proxy.get(blob_path("b", digest)).status >= 400);
  CHECK(site.proxy.get(blob_path("a", digest)).header("x-cache") == "HIT");
  CHECK(site.upstream.count("GET", digest) <= 4);
}

TEST_CASE("through another registry that claims by HEAD to have it, content must be delivered") {
  ScriptedUpstream honest;
  ScriptedUpstream liar;
  RunningProxy proxy(settings_with({registry_at("honest.test", honest), registry_at("liar.test", liar)}));
  const std::string bytes = random_bytes(300'000);
  const std::string digest = honest.add_blob("a", bytes);
  CHECK(proxy.get(blob_path("a", digest)).body == bytes);
  REQUIRE(proxy.settle());
  const std::string path = blob_path("liar.test/a", digest);
  liar.on("HEAD", blob_path("a", digest), [bytes, digest](const UpstreamRequest&, Reply& reply) {
    reply.head(200, {{"Content-Length", std::to_string(bytes.size())}, {"Docker-Content-Digest", digest}});
  });
  liar.on("GET", blob_path("a", digest), [bytes](const UpstreamRequest&, Reply& reply) {
    reply.answer(200, {}, std::string(bytes.size(), 'x'));
  });
  CHECK(proxy.head(path).status == 200);  // it says so itself
  const HttpAnswer answer = proxy.get(path);
  CHECK_FALSE(answer.is_complete);
  CHECK(answer.body.find(bytes.substr(100, 16)) == std::string::npos);
  CHECK(proxy.get(path, {{"Range", "bytes=0-9"}}).body.find(bytes.substr(0, 10)) == std::string::npos);
}

TEST_CASE("a leader's refusal does not fail a client of a repository that may read the content") {
  Site site;
  const std::string bytes = random_bytes(200'000);
  const std::string digest = site.upstream.add_blob("public", bytes);
  Gate& gate = site.upstream.gate();
  site.upstream.on("*", blob_path("private", digest), [&gate](const UpstreamRequest&, Reply& reply) {
    gate.wait();
    reply.answer(401, {}, "");
  });
  HttpClient leader(site.proxy.address());
  leader.request("GET", blob_path("private", digest));
  REQUIRE(eventually([&] { return gate.waiting() == 1; }));
  HttpClient joiner(site.proxy.address());
  joiner.request("GET", blob_path("public", digest));
  REQUIRE(eventually([&] { return site.upstream.count("HEAD", "public") == 1; }));
  gate.open();
  CHECK(leader.read_answer().status == 401);
  CHECK(joiner.read_answer().body == bytes);
}
