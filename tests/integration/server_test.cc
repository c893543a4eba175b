// The server as a whole: probes, metrics, start and stop, clients that misbehave.
#include <atomic>
#include <filesystem>
#include <fstream>
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

Result<std::unique_ptr<proxy::Server>> try_start(config::Settings settings) {
  static const ManualClock clock;
  return proxy::Server::start({.settings = std::make_shared<const config::Settings>(std::move(settings)),
                               .files = FileSystem::system(),
                               .clock = clock,
                               .version = "0",
                               .revision = "test"});
}

std::string requests_series(std::string_view kind, std::string_view cache) {
  return fmt::format(
      "layover_http_requests_total{{registry=\"r.test\",kind=\"{}\",method=\"GET\",code=\"200\",cache=\"{}\"}"
      "}",
      kind, cache);
}

}  // namespace

TEST_CASE("the probes answer from every side") {
  Site site;
  for (const char* path : {"/livez", "/healthz", "/readyz"}) {
    INFO(path);
    CHECK(fetch(site.proxy.admin_address(), "GET", path).status == 200);
    CHECK(fetch(site.proxy.admin_address(), "HEAD", path).status == 200);
  }
  CHECK(fetch(site.proxy.admin_address(), "GET", "/nothing").status == 404);
  CHECK(fetch(site.proxy.admin_address(), "POST", "/metrics", {{"Content-Length", "0"}}).status == 405);
  const HttpAnswer metrics = fetch(site.proxy.admin_address(), "GET", "/metrics");
  CHECK(metrics.header("content-type").starts_with("text/plain; version=0.0.4"));
  CHECK(metrics.body.find("layover_build_info{version=\"0.0.0\",revision=\"test\"} 1") != std::string::npos);
  // Each listener has its own service.
  CHECK(site.proxy.get("/metrics").status == 404);
  CHECK(fetch(site.proxy.admin_address(), "GET", "/v2/").status == 404);
}

TEST_CASE("each request moves the metrics by the right amount") {
  Site site;
  const std::string bytes = random_bytes(123'456);
  const std::string path = blob_path("a", site.upstream.add_blob("a", bytes));
  const std::string registry = "registry=\"r.test\"";
  // A request is counted once it is over: the client may be the first to know.
  const auto comes_to = [&site](const std::string& series, double count) {
    return eventually([&] { return site.proxy.metric(series) == count; });
  };
  CHECK(site.proxy.get(path).is_complete);
  REQUIRE(site.proxy.settle());
  CHECK(comes_to(requests_series("blob", "miss"), 1));
  CHECK(site.proxy.metric("layover_sent_bytes_total{" + registry + ",kind=\"blob\",cache=\"miss\"}") ==
        123'456);
  CHECK(site.proxy.metric("layover_saved_bytes_total{" + registry + "}") == 0);
  CHECK(site.proxy.metric("layover_upstream_received_bytes_total{" + registry + "}") == 123'456);
  CHECK(site.proxy.metric("layover_upstream_requests_total{" + registry + ",kind=\"blob\",code=\"200\"}") ==
        1);
  CHECK(site.proxy.metric("layover_fills_total{result=\"committed\"}") == 1);
  CHECK(site.proxy.metric("layover_cache_bytes") == 123'456);
  CHECK(site.proxy.metric("layover_cache_objects{kind=\"blob\"}") == 1);

  CHECK(site.proxy.get(path).is_complete);
  CHECK(site.proxy.get(path, {{"Range", "bytes=0-999"}}).is_complete);
  CHECK(comes_to("layover_saved_bytes_total{" + registry + "}", 124'456));
  CHECK(comes_to(requests_series("blob", "hit"), 1));
  CHECK(site.proxy.metric("layover_upstream_received_bytes_total{" + registry + "}") == 123'456);
  CHECK(site.proxy.get("/v2/a/manifests/none").status == 404);
  CHECK(comes_to("layover_http_requests_total{" + registry +
                     ",kind=\"manifest\",method=\"GET\",code=\"404\",cache=\"none\"}",
                 1));
  CHECK(site.proxy.get("/v2/a/manifests/v1?ns=evil.example").status == 403);
  CHECK(comes_to("layover_access_denied_total{reason=\"registry\"}", 1));
  CHECK(comes_to("layover_connections{side=\"client\"}", 1));  // the scrape's
}

TEST_CASE("no label holds a digest, a tag or a repository") {
  Site site;
  const std::string digest = site.upstream.add_tag("secret-repository", "secret-tag", image_manifest());
  CHECK(site.proxy.get(manifest_path("secret-repository", "secret-tag")).status == 200);
  const std::string text = fetch(site.proxy.admin_address(), "GET", "/metrics").body;
  CHECK(text.find("secret") == std::string::npos);
  CHECK(text.find(digest) == std::string::npos);
}

TEST_CASE("it starts, and serves what it has, with every upstream down") {
  Site site;
  const std::string bytes = random_bytes(300'000);
  const std::string manifest = image_manifest();
  const std::string path = blob_path("a", site.upstream.add_blob("a", bytes));
  site.upstream.add_tag("a", "v1", manifest);
  CHECK(site.proxy.get(path).status == 200);
  CHECK(site.proxy.get(manifest_path("a", "v1")).status == 200);
  REQUIRE(site.proxy.settle());
  site.upstream.go_down();
  site.proxy.restart();
  CHECK(fetch(site.proxy.admin_address(), "GET", "/readyz").status == 200);
  const HttpAnswer blob = site.proxy.get(path);
  CHECK(blob.header("x-cache") == "HIT");
  CHECK(blob.body == bytes);
  const HttpAnswer tag = site.proxy.get(manifest_path("a", "v1"));
  CHECK(tag.header("x-cache") == "STALE");
  CHECK(tag.body == manifest);
  site.upstream.come_back();
  CHECK(site.proxy.get(blob_path("a", site.upstream.add_blob("a", "new"))).status == 200);
  CHECK(site.proxy.get(manifest_path("a", "v1")).header("x-cache") == "REVALIDATED");
}

TEST_CASE("a stop lets transfers finish, and says so") {
  Site site;
  const std::string bytes = random_bytes(2'000'000);
  const std::string path = blob_path("a", site.upstream.add_blob("a", bytes));
  Gate& gate = site.upstream.gate();
  site.upstream.on("GET", path, pausing(bytes, 500'000, gate));
  HttpClient client(site.proxy.address());
  client.request("GET", path);
  HttpAnswer answer = client.read_head();
  client.read_some(answer, 1000);
  const std::string admin = site.proxy.admin_address();
  HttpClient probe(admin);
  std::atomic<bool> is_finished{false};
  std::thread stopper([&] { is_finished = site.proxy.server().stop([] { return false; }); });
  probe.request("GET", "/readyz");
  CHECK(eventually([&] {
    const HttpAnswer ready = probe.read_answer();
    if (ready.status != 200) return true;
    probe.request("GET", "/readyz");
    return false;
  }));
  CHECK_FALSE(is_finished);
  gate.open();
  while (client.read_some(answer, SIZE_MAX)) {
  }
  CHECK(answer.is_complete);
  CHECK(answer.body == bytes);
  stopper.join();
  CHECK(is_finished);
  CHECK_THROWS(HttpClient(site.proxy.address()));
}

TEST_CASE("a stop that must not wait cuts transfers off in an orderly way, and loses nothing stored") {
  Site site([](config::Settings& settings) { settings.shutdown.grace = std::chrono::milliseconds(50); });
  const std::string stored = blob_path("a", site.upstream.add_blob("a", random_bytes(100'000, 9)));
  CHECK(site.proxy.get(stored).status == 200);
  REQUIRE(site.proxy.settle());
  const std::string bytes = random_bytes(2'000'000);
  const std::string path = blob_path("a", site.upstream.add_blob("a", bytes));
  Gate& gate = site.upstream.gate();
  site.upstream.on("GET", path, [bytes, &gate](const UpstreamRequest&, Reply& reply) {
    reply.head(200, {{"Content-Length", std::to_string(bytes.size())}});
    reply.write(bytes.substr(0, 500'000));
    gate.wait();
  });
  HttpClient client(site.proxy.address());
  client.request("GET", path);
  HttpAnswer answer = client.read_head();
  client.read_some(answer, 1000);
  site.proxy.restart();
  while (client.read_some(answer, SIZE_MAX)) {
  }
  CHECK_FALSE(answer.is_complete);
  gate.open();
  CHECK(entries_in(site.proxy.cache_path() + "/fills") == 0);
  CHECK(site.proxy.get(stored).header("x-cache") == "HIT");
  site.upstream.add_blob("a", bytes);
  CHECK(site.proxy.get(path).body == bytes);
}

TEST_CASE("while it stops, answers say that the connection ends") {
  Site site([](config::Settings& settings) { settings.shutdown.delay = std::chrono::milliseconds(300); });
  HttpClient client(site.proxy.address());
  client.request("GET", "/v2/");
  CHECK_FALSE(client.read_answer().has_header("connection"));
  std::thread stopper([&] { site.proxy.server().stop([] { return false; }); });
  HttpAnswer answer;
  eventually([&] {
    client.request("GET", "/v2/");
    answer = client.read_answer();
    return answer.status != 200 || answer.has_header("connection");
  });
  CHECK(answer.status == 200);
  CHECK(answer.header("connection") == "close");
  CHECK(client.ends_quietly());
  stopper.join();
}

TEST_CASE("what is in the way of a start is named: the port, the cache, the directory") {
  Site site;
  config::Settings settings = settings_with({registry_at("r.test", site.upstream)});
  const TemporaryDirectory directory;
  settings.cache.path = directory.path();
  SECTION("a port in use") {
    const auto& address = site.proxy.address();
    settings.listen.front().address.port =
        static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
    const auto started = try_start(settings);
    REQUIRE_FALSE(started);
    CHECK(started.error().describe().find(address) != std::string::npos);
  }
  SECTION("a cache directory in use") {
    settings.cache.path = site.proxy.cache_path();
    const auto started = try_start(settings);
    REQUIRE_FALSE(started);
    CHECK(started.error().describe().find("in use by another layover") != std::string::npos);
  }
  SECTION("a cache directory that is a file") {
    settings.cache.path = directory.path() + "/file";
    std::ofstream(settings.cache.path) << "x";
    const auto started = try_start(settings);
    REQUIRE_FALSE(started);
    CHECK(started.error().describe().find(settings.cache.path) != std::string::npos);
  }
  SECTION("certificate authorities that cannot be read") {
    settings.registries.begin()->second.ca_file = directory.path() + "/none.pem";
    const auto started = try_start(settings);
    REQUIRE_FALSE(started);
    CHECK(started.error().describe().find("none.pem") != std::string::npos);
  }
}

TEST_CASE("requests of one connection are answered in order, also when they come all at once") {
  Site site;
  std::string requests;
  std::vector<std::string> bodies;
  for (unsigned i = 0; i < 20; ++i) {
    bodies.push_back(random_bytes(100 + 5000 * i, i));
    requests += fmt::format("GET {} HTTP/1.1\r\nHost: h\r\n\r\n",
                            blob_path("a", site.upstream.add_blob("a", bodies[i])));
  }
  HttpClient client(site.proxy.address());
  client.send(requests);
  for (const std::string& body : bodies) CHECK(client.read_answer().body == body);
}

TEST_CASE("requests that are no HTTP get one clear answer, and the server goes on") {
  Site site;
  struct Case {
    std::string bytes;
    int status;
  };
  for (const Case& one : std::vector<Case>{
           {"\x16\x03\x01\x02\x00\x01", 400},
           {"GET / HTTP/1.1\r\n\r\n", 400},
           {"BREW / HTTP/1.1\r\nHost: h\r\n\r\n", 501},
           {"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505},
           {"GET /" + std::string(10'000, 'a') + " HTTP/1.1\r\nHost: h\r\n\r\n", 414},
           {"GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(40'000, 'a') + "\r\n\r\n", 431},
           {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400},
       }) {
    HttpClient client(site.proxy.address());
    client.send(one.bytes);
    const HttpAnswer answer = client.read_answer();
    CHECK(answer.status == one.status);
    CHECK(answer.is_complete);
    CHECK(answer.header("connection") == "close");
    CHECK(client.ends_quietly());
  }
  CHECK(site.proxy.get("/v2/").status == 200);
  CHECK(site.upstream.connections() == 0);
}

TEST_CASE("a client that is slow with its request is told so, an idle one is let go") {
  Site site([](config::Settings& settings) {
    settings.limits.header_timeout = std::chrono::seconds(1);
    settings.limits.keep_alive = std::chrono::seconds(1);
  });
  HttpClient slow(site.proxy.address());
  slow.send("GET /v2/ HT");
  CHECK(slow.read_answer().status == 408);
  HttpClient silent(site.proxy.address());
  CHECK(silent.ends_quietly());
  HttpClient idle(site.proxy.address());
  idle.request("GET", "/v2/");
  CHECK(idle.read_answer().status == 200);
  CHECK(idle.ends_quietly());
}

TEST_CASE("an HTTP/1.0 client that asks for it keeps its connection, and is told so") {
  Site site;
  HttpClient client(site.proxy.address());
  for (int i = 0; i < 2; ++i) {
    client.send("GET /v2/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    const HttpAnswer answer = client.read_answer();
    CHECK(answer.status == 200);
    CHECK(answer.header("connection") == "keep-alive");
  }
  client.send("GET /v2/ HTTP/1.0\r\n\r\n");
  CHECK(client.read_answer().header("connection") == "close");
  CHECK(client.ends_quietly());
}

TEST_CASE("what cannot be read on the admin listener is no client's request") {
  Site site;
  HttpClient prober(site.proxy.admin_address());
  prober.send("no HTTP at all\r\n\r\n");
  CHECK(prober.read_answer().status == 400);
  CHECK(prober.ends_quietly());
  CHECK(site.proxy.get("/v2/").status == 200);
  CHECK(site.proxy.request_lines(1).size() == 1);
  CHECK(site.proxy.metrics().find("code=\"400\"") == std::string::npos);
}

TEST_CASE("many clients that come, ask and go at random leave nothing behind") {
  Site site;
  std::vector<std::string> paths;
  for (unsigned i = 0; i < 8; ++i)
    paths.push_back(blob_path("a", site.upstream.add_blob("a", random_bytes(400'000, i))));
  std::vector<std::thread> clients;
  for (unsigned c = 0; c < 8; ++c) {
    clients.emplace_back([&, c] {
      for (unsigned i = 0; i < 25; ++i) {
        HttpClient client(site.proxy.address());
        client.request("GET", paths[(c + i) % paths.size()]);
        if (i % 3 == 0) {
          client.reset();
          continue;
        }
        HttpAnswer answer = client.read_head();
        client.read_some(answer, 1000);
        if (i % 3 == 1) client.end();
      }
    });
  }
  for (auto& client : clients) client.join();
  REQUIRE(site.proxy.settle());
  CHECK(eventually([&] { return site.proxy.metric("layover_fill_readers") == 0; }));
  CHECK(eventually([&] { return site.proxy.metric("layover_connections{side=\"client\"}") == 1; }));
  CHECK(site.upstream.count("*", "/blobs/") == 8);
  CHECK(entries_in(site.proxy.cache_path() + "/fills") == 0);
  for (const std::string& path : paths) CHECK(site.proxy.get(path).header("x-cache") == "HIT");
}
