// A registry that may be asked over so many connections only.
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "tests/support/catch.h"
#include "tests/support/running_proxy.h"
#include "tests/support/test_loop.h"

using namespace layover;
using namespace layover::test;

namespace {

Site site_with(unsigned max_connections) {
  return Site([max_connections](config::Settings& settings) {
    Site::registry(settings).max_connections = max_connections;
  });
}

/// How many requests are being answered at once. The scripts own it.
struct Load {
  std::atomic<int> now{0};
  std::atomic<int> most{0};

  void begin() {
    const int running = ++now;
    for (int seen = most; running > seen && !most.compare_exchange_weak(seen, running);) {
    }
  }
  void end() { --now; }
};

}  // namespace

TEST_CASE("no more connections to a registry are in use than max_connections, and all get their turn") {
  Site site = site_with(3);
  const auto load = std::make_shared<Load>();
  std::vector<std::string> paths;
  for (unsigned i = 0; i < 24; ++i) {
    const std::string bytes = random_bytes(200'000, i + 1);
    paths.push_back(blob_path("a", site.upstream.add_blob("a", bytes)));
    site.upstream.on("GET", paths.back(), [load, bytes](const UpstreamRequest&, Reply& reply) {
      load->begin();
      reply.head(200, {{"Content-Length", std::to_string(bytes.size())}});
      reply.write(std::string_view(bytes).substr(0, 150'000));
      std::this_thread::sleep_for(std::chrono::milliseconds(5));  // so that others would come to it
      load->end();
      reply.write(std::string_view(bytes).substr(150'000));
    });
  }
  std::atomic<int> whole{0};
  std::vector<std::thread> clients;
  for (const std::string& path : paths) {
    clients.emplace_back([&, path] { whole += site.proxy.get(path).body.size() == 200'000; });
  }
  for (std::thread& client : clients) client.join();
  CHECK(whole == 24);
  CHECK(load->most == 3);
}

TEST_CASE("who has to ask twice for one answer needs no second connection for that") {
  Site site = site_with(1);
  const std::string bytes = random_bytes(1000);
  const std::string digest = site.upstream.add_blob("a", bytes);
  CHECK(site.proxy.get(blob_path("a", digest)).status == 200);
  site.upstream.add_blob("b", bytes);
  // It says neither size nor digest, so that a GET has to.
  site.upstream.on("HEAD", blob_path("b", digest), [](const UpstreamRequest&, Reply& reply) {
    reply.head(200, {{"Content-Type", "application/octet-stream"}});
  });
  const auto begun = std::chrono::steady_clock::now();
  CHECK(site.proxy.get(blob_path("b", digest)).body == bytes);
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(5));
}

TEST_CASE("who finds no connection free in its time is answered 503, and that says nothing of the registry") {
  Site site([](config::Settings& settings) {
    Site::registry(settings).max_connections = 1;
    Site::registry(settings).times.first_byte_budget = std::chrono::seconds(2);
  });
  const std::string bytes = random_bytes(100'000);
  const std::string slow = blob_path("a", site.upstream.add_blob("a", bytes));
  const std::string other = blob_path("a", site.upstream.add_blob("a", "other"));
  Gate& gate = site.upstream.gate();
  site.upstream.on("GET", slow, pausing(bytes, 70'000, gate));
  HttpClient client(site.proxy.address());
  client.request("GET", slow);
  HttpAnswer answer = client.read_head();
  const HttpAnswer refused = site.proxy.get(other);
  CHECK(refused.status == 503);
  CHECK(!refused.header("Retry-After").empty());
  INFO(refused.body);
  CHECK(refused.body.find("all of the 1 connections that r.test may have (max_connections) stayed in use") !=
        std::string::npos);
  CHECK(site.proxy.metric(R"(layover_upstream_errors_total{registry="r.test",reason="protocol"})") == 0);
  gate.open();
  while (client.read_some(answer, 1 << 20)) {
  }
  CHECK(answer.body == bytes);
  CHECK(site.proxy.get(other).body == "other");
}

TEST_CASE("one connection is enough for redirects and for tokens") {
  Site site = site_with(1);
  const auto url = site.upstream.url();
  site.upstream.before_all([url](const UpstreamRequest& request, Reply& reply) {
    if (request.path() == "/token") {
      reply.answer(200, {{"Content-Type", "application/json"}}, R"({"token":"good"})");
      return true;
    }
    if (request.header("authorization") == "Bearer good" || request.path().starts_with("/store/"))
      return false;
    reply.answer(401, {{"WWW-Authenticate", fmt::format("Bearer realm=\"{}/token\",service=\"r\"", url)}},
                 "{}");
    return true;
  });
  const std::string bytes = random_bytes(100'000);
  const std::string path = blob_path("a", site.upstream.add_blob("a", bytes));
  site.upstream.on("GET", path, [](const UpstreamRequest&, Reply& reply) {
    reply.answer(307, {{"Location", "/store/blob"}}, "moved");
  });
  site.upstream.on("GET", "/store/blob",
                   [bytes](const UpstreamRequest&, Reply& reply) { reply.answer(200, {}, bytes); });
  CHECK(site.proxy.get(path).body == bytes);
}
