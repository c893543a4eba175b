// The request log of a running layover: each way that a request can go, and its line.
#include <string>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tests/support/catch.h"
#include "tests/support/running_proxy.h"
#include "tests/support/test_loop.h"

using namespace layover;
using namespace layover::test;
using nlohmann::json;

namespace {

void log_json(config::Settings& settings) { settings.log.format = LogFormat::kJson; }

/// The latest line, once there are `count`.
json line(const Site& site, std::size_t count) {
  const auto lines = site.proxy.request_lines(count);
  REQUIRE(lines.size() == count);
  return json::parse(lines.back());
}

/// What `line` says of the members that `expected` names.
json only(const json& line, const json& expected) {
  json chosen = json::object();
  for (const auto& [name, value] : expected.items()) chosen[name] = line.at(name);
  return chosen;
}

void check_line(const json& line, const json& expected) { CHECK(only(line, expected) == expected); }

}  // namespace

TEST_CASE("the line of a miss and of a hit") {
  Site site(log_json);
  const std::string bytes = random_bytes(123'456);
  const std::string digest = site.upstream.add_blob("a/b", bytes);
  const HttpAnswer miss = site.proxy.get(blob_path("a/b", digest), {{"User-Agent", "engine/1 (\"x\")"}});
  REQUIRE(miss.is_complete);
  const json first = line(site, 1);
  check_line(first, {{"client", "127.0.0.1"},
                     {"method", "GET"},
                     {"kind", "blob"},
                     {"registry", "r.test"},
                     {"repository", "a/b"},
                     {"reference", digest},
                     {"status", 200},
                     {"bytes", 123'456},
                     {"cache", "miss"},
                     {"upstream", true},
                     {"ending", "complete"},
                     {"user_agent", "engine/1 (\"x\")"},
                     {"request_id", miss.header("x-request-id")}});
  CHECK_FALSE(first.contains("path"));
  CHECK(first["first_byte_ms"].get<double>() > 0);
  CHECK(first["duration_ms"] >= first["first_byte_ms"]);

  REQUIRE(site.proxy.settle());
  const HttpAnswer hit = site.proxy.get(blob_path("a/b", digest), {{"Range", "bytes=0-999"}});
  check_line(line(site, 2), {{"status", 206},
                             {"bytes", 1000},
                             {"cache", "hit"},
                             {"upstream", false},
                             {"user_agent", nullptr},
                             {"request_id", hit.header("x-request-id")}});
}

TEST_CASE("the line of a HEAD has no bytes") {
  Site site(log_json);
  const std::string digest = site.upstream.add_blob("a", random_bytes(1000));
  CHECK(site.proxy.head(blob_path("a", digest)).status == 200);
  check_line(line(site, 1), {{"method", "HEAD"}, {"status", 200}, {"bytes", 0}, {"ending", "complete"}});
}

TEST_CASE("the line of a request that joined says so") {
  Site site(log_json);
  const std::string bytes = random_bytes(300'000);
  const std::string path = blob_path("a", site.upstream.add_blob("a", bytes));
  Gate& gate = site.upstream.gate();
  site.upstream.on("GET", path, pausing(bytes, 100'000, gate));
  HttpClient leader(site.proxy.address());
  leader.request("GET", path);
  leader.read_head();
  HttpClient joined(site.proxy.address());
  joined.request("GET", path, {{"User-Agent", "joiner"}});
  HttpAnswer answer = joined.read_head();
  CHECK(answer.header("x-cache") == "JOINED");
  gate.open();
  while (joined.read_some(answer, SIZE_MAX)) {
  }
  CHECK(answer.is_complete);
  leader.end();
  for (const std::string& text : site.proxy.request_lines(2)) {
    const json parsed = json::parse(text);
    if (parsed["user_agent"] != "joiner") continue;
    check_line(parsed, {{"cache", "joined"}, {"upstream", false}, {"bytes", 300'000}});
    return;
  }
  FAIL("it has no line");
}

TEST_CASE("the lines of a tag: first, confirmed, stale") {
  Site site(log_json);
  site.upstream.add_tag("a", "v1", image_manifest());
  CHECK(site.proxy.get(manifest_path("a", "v1")).status == 200);
  check_line(line(site, 1),
             {{"kind", "manifest"}, {"reference", "v1"}, {"cache", "miss"}, {"upstream", true}});
  REQUIRE(site.proxy.settle());
  site.upstream.go_down();
  site.proxy.clock().advance(std::chrono::hours(1));
  const HttpAnswer stale = site.proxy.get(manifest_path("a", "v1"));
  CHECK(stale.header("x-cache") == "STALE");
  check_line(line(site, 2), {{"status", 200}, {"cache", "stale"}, {"upstream", true}});
}

TEST_CASE("a name that its registry completes is logged as the registry knows it") {
  ScriptedUpstream upstream;
  config::Settings settings = settings_with({registry_at("docker.io", upstream)});
  log_json(settings);
  RunningProxy proxy(settings);
  CHECK(proxy.get("/v2/nginx/manifests/1").status == 404);
  const auto lines = proxy.request_lines(1);
  REQUIRE(lines.size() == 1);
  check_line(json::parse(lines[0]), {{"registry", "docker.io"}, {"repository", "library/nginx"}});
}

TEST_CASE("refusals have lines with what was asked for") {
  Site site(log_json);
  CHECK(site.proxy.get("/v2/a/manifests/none").status == 404);
  check_line(line(site, 1), {{"status", 404},
                             {"registry", "r.test"},
                             {"repository", "a"},
                             {"reference", "none"},
                             {"cache", "none"},
                             {"upstream", true}});
  CHECK(site.proxy.get("/v2/a/manifests/v1?ns=evil.example").status == 403);
  check_line(line(site, 2), {{"status", 403}, {"registry", "evil.example"}, {"upstream", false}});
  CHECK(fetch(site.proxy.address(), "PUT", "/v2/a/manifests/v1", {{"Content-Length", "0"}}).status == 405);
  check_line(line(site, 3), {{"status", 405}, {"method", "PUT"}, {"repository", "a"}, {"upstream", false}});
  CHECK(site.proxy.get("/v2/").status == 200);
  check_line(line(site, 4), {{"kind", "ping"}, {"status", 200}, {"bytes", 2}, {"repository", nullptr}});
}

TEST_CASE("a request that is no route is logged by its path, without the query") {
  Site site(log_json);
  CHECK(site.proxy.get("/v2/_catalog?token=secret").status == 404);
  check_line(line(site, 1), {{"kind", "other"}, {"registry", nullptr}, {"path", "/v2/_catalog"}});
  CHECK(site.proxy.request_lines(1)[0].find("secret") == std::string::npos);
}

TEST_CASE("requests that cannot be read have lines too") {
  Site site([](config::Settings& settings) {
    log_json(settings);
    settings.limits.max_header_bytes = 1_KiB;
    settings.limits.header_timeout = std::chrono::seconds(1);
  });
  const auto answer_to = [&site](std::string_view bytes) {
    HttpClient client(site.proxy.address());
    client.send(bytes);
    return client.read_answer();
  };
  std::size_t count = 0;
  for (const auto& [bytes, status] : std::initializer_list<std::pair<std::string, int>>{
           {"no HTTP at all\r\n\r\n", 400},
           {"GET /v2/ HTTP/1.1\r\nHost: a\r\nX: " + std::string(2000, 'x') + "\r\n\r\n", 431},
           {"GET /v2/ HT", 408}}) {
    INFO(status);
    const HttpAnswer answer = answer_to(bytes);
    CHECK(answer.status == status);
    check_line(line(site, ++count), {{"client", "127.0.0.1"},
                                     {"method", nullptr},
                                     {"status", status},
                                     {"bytes", answer.body.size()},
                                     {"ending", "complete"},
                                     {"request_id", answer.header("x-request-id")}});
    CHECK(answer.header("x-request-id").size() == 16);
  }
  CHECK(line(site, count)["duration_ms"] >= 900);  // it waited for header_timeout
}

TEST_CASE("the line of a client that left tells how much it got") {
  Site site(log_json);
  const std::string bytes = random_bytes(30'000'000);
  const std::string path = blob_path("a", site.upstream.add_blob("a", bytes));
  HttpClient client(site.proxy.address());
  client.request("GET", path);
  HttpAnswer answer = client.read_head();
  client.read_some(answer, 1000);
  client.reset();
  const json left = line(site, 1);
  check_line(left, {{"status", 200}, {"ending", "client_left"}});
  CHECK(left["bytes"] < 30'000'000);
}

TEST_CASE("the line of an answer that could not be completed says so") {
  Site site(log_json);
  const std::string digest = site.upstream.add_blob("a", random_bytes(300'000));
  site.upstream.on("GET", blob_path("a", digest), [](const UpstreamRequest&, Reply& reply) {
    reply.answer(200, {}, random_bytes(300'000, 2));  // other bytes
  });
  CHECK_FALSE(site.proxy.get(blob_path("a", digest)).is_complete);
  const json cut = line(site, 1);
  check_line(cut, {{"status", 200}, {"ending", "cut_off"}});
  CHECK(cut["bytes"] < 300'000);
}

TEST_CASE("a transfer that a stop cuts off has its line") {
  Site site([](config::Settings& settings) {
    log_json(settings);
    settings.shutdown.grace = std::chrono::milliseconds(0);
  });
  const std::string path = blob_path("a", site.upstream.add_blob("a", random_bytes(300'000)));
  Gate& gate = site.upstream.gate();
  site.upstream.on("GET", path, [&gate](const UpstreamRequest&, Reply& reply) {
    reply.head(200, {{"Content-Length", "300000"}});
    reply.write(random_bytes(100'000));
    gate.wait();
  });
  HttpClient client(site.proxy.address());
  client.request("GET", path);
  HttpAnswer answer = client.read_head();
  client.read_some(answer, 1000);
  site.proxy.restart();
  check_line(line(site, 1), {{"status", 200}, {"ending", "cut_off"}});
  gate.open();
}

TEST_CASE("probes and scrapes are not logged") {
  Site site(log_json);
  for (const char* path : {"/metrics", "/livez", "/readyz", "/nothing"}) {
    CHECK(fetch(site.proxy.admin_address(), "GET", path).status != 0);
  }
  CHECK(site.proxy.get("/v2/").status == 200);
  check_line(line(site, 1), {{"kind", "ping"}});
}

TEST_CASE("without log.requests there are no lines") {
  Site site([](config::Settings& settings) { settings.log.requests = false; });
  CHECK(site.proxy.get("/v2/").status == 200);
  site.proxy.stop();
  CHECK(site.proxy.request_lines(0).empty());
}

TEST_CASE("text lines say the same") {
  Site site;
  const std::string digest = site.upstream.add_blob("a", random_bytes(100));
  const HttpAnswer answer = site.proxy.get(blob_path("a", digest), {{"User-Agent", "engine 1"}});
  const auto lines = site.proxy.request_lines(1);
  REQUIRE(lines.size() == 1);
  const std::string_view text = lines[0];
  CHECK(
      text.starts_with("time=2023-11-14T22:13:20.000Z client=127.0.0.1 method=GET kind=blob "
                       "registry=r.test repository=a reference=sha256:"));
  CHECK(text.find(" status=200 bytes=100 duration_ms=") != std::string_view::npos);
  CHECK(text.ends_with(
      fmt::format(" cache=miss upstream=true ending=complete user_agent=\"engine 1\" request_id={}",
                  answer.header("x-request-id"))));
}

TEST_CASE("no line holds what a client authenticates with") {
  Site site;
  const HeaderList secrets = {{"Authorization", "Basic c2VjcmV0"}, {"Cookie", "session=secret"}};
  CHECK(site.proxy.get("/v2/a/manifests/v1?sig=secret", secrets).status == 404);
  CHECK(site.proxy.get("/elsewhere?sig=secret", secrets).status == 404);
  CHECK(site.proxy.get("http://user:secret@r.test/elsewhere?sig=secret", secrets).status == 404);
  for (const std::string& text : site.proxy.request_lines(3)) {
    INFO(text);
    CHECK(text.find("secret") == std::string::npos);
    CHECK(text.find("c2VjcmV0") == std::string::npos);
  }
}
