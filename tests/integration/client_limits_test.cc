// Limits on connections: who is over one is told to come later, and the others notice nothing.
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "tests/support/catch.h"
#include "tests/support/running_proxy.h"
#include "tests/support/test_loop.h"

using namespace layover;
using namespace layover::test;

namespace {

constexpr std::string_view kRefused =
    "layover_http_requests_total{registry=\"other\",kind=\"other\",method=\"GET\",code=\"503\",cache="
    "\"none\"}";

/// A connection that has been answered, and stays.
std::unique_ptr<HttpClient> connected(const RunningProxy& proxy) {
  auto client = std::make_unique<HttpClient>(proxy.address());
  client->request("GET", "/v2/");
  CHECK(client->read_answer().status == 200);
  return client;
}

std::vector<std::unique_ptr<HttpClient>> connected(const RunningProxy& proxy, int count) {
  std::vector<std::unique_ptr<HttpClient>> clients;
  for (int i = 0; i < count; ++i) clients.push_back(connected(proxy));
  return clients;
}

void check_refusal(const HttpAnswer& answer, std::string_view message) {
  CHECK(answer.status == 503);
  CHECK(answer.header("retry-after") == "5");
  CHECK(answer.header("content-type") == "application/json");
  CHECK(answer.header("connection") == "close");
  CHECK(answer.is_complete);
  CHECK(answer.body.find("UNAVAILABLE") != std::string::npos);
  CHECK(answer.body.find(message) != std::string::npos);
}

}  // namespace

TEST_CASE("a connection beyond max_connections is answered 503 and ends; who has one goes on") {
  Site site([](config::Settings& settings) { settings.limits.max_connections = 3; });
  const std::string bytes = random_bytes(100'000);
  const std::string path = blob_path("a", site.upstream.add_blob("a", bytes));
  auto clients = connected(site.proxy, 3);
  HttpClient surplus(site.proxy.address());
  surplus.request("GET", path);
  check_refusal(surplus.read_answer(), "layover has as many connections as it may");
  CHECK(surplus.ends_quietly());
  CHECK(site.upstream.connections() == 0);

  clients.front()->request("GET", path);
  CHECK(clients.front()->read_answer().body == bytes);
  // The admin listener is not counted.
  CHECK(site.proxy.metric(kRefused) == 1);
  clients.pop_back();
  CHECK(eventually([&] { return site.proxy.get("/v2/").status == 200; }));
}

TEST_CASE("a client beyond max_connections_per_client is answered 503") {
  Site site([](config::Settings& settings) { settings.limits.max_connections_per_client = 2; });
  auto clients = connected(site.proxy, 2);
  check_refusal(site.proxy.get("/v2/"), "this client has as many connections as it may");
  clients.clear();
  CHECK(eventually([&] { return site.proxy.get("/v2/").status == 200; }));
}

TEST_CASE("a HEAD is refused without a body, a request that makes no sense as ever") {
  Site site([](config::Settings& settings) { settings.limits.max_connections = 1; });
  const auto client = connected(site.proxy);
  HttpClient head(site.proxy.address());
  head.request("HEAD", "/v2/");
  CHECK(head.read_answer(true).status == 503);
  CHECK(head.ends_quietly());
  HttpClient tls(site.proxy.address());
  tls.send("\x16\x03\x01\x02");
  CHECK(tls.read_answer().status == 400);
}

TEST_CASE("a flood of connections beyond the limit is closed at once, but for those that are being told") {
  Site site([](config::Settings& settings) { settings.limits.max_connections = 1; });
  const auto client = connected(site.proxy);
  std::vector<std::unique_ptr<HttpClient>> silent;
  for (int i = 0; i < 100; ++i) silent.push_back(std::make_unique<HttpClient>(site.proxy.address()));
  // Accepted in order: the first ones may still ask, for 2 s.
  for (int i = 64; i < 100; ++i) CHECK(silent[static_cast<std::size_t>(i)]->ends_quietly());
  CHECK(eventually([&] { return site.proxy.metric("layover_connections{side=\"client\"}") == 1 + 64 + 1; }));
  silent.front()->request("GET", "/v2/");
  CHECK(silent.front()->read_answer().status == 503);
  CHECK(silent[1]->ends_quietly());
  CHECK(eventually([&] { return site.proxy.metric("layover_connections{side=\"client\"}") == 2; }));
}

TEST_CASE("a reload changes the limits for connections that come after it") {
  config::Settings settings;
  Site site([&settings](config::Settings& adjusted) {
    adjusted.limits.max_connections = 1;
    settings = adjusted;
  });
  settings.cache.path = site.proxy.cache_path();
  const auto first = connected(site.proxy);
  CHECK(site.proxy.get("/v2/").status == 503);
  settings.limits.max_connections = 2;
  REQUIRE(site.proxy.server().reload(std::make_shared<const config::Settings>(settings)));
  const auto second = connected(site.proxy);
  settings.limits.max_connections = 1;
  REQUIRE(site.proxy.server().reload(std::make_shared<const config::Settings>(settings)));
  CHECK(site.proxy.get("/v2/").status == 503);
  second->request("GET", "/v2/");
  CHECK(second->read_answer().status == 200);
}
