// Redirects, and what upstreams can do to keep us waiting.
#include <chrono>
#include <future>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "tests/support/catch.h"
#include "tests/support/running_proxy.h"
#include "tests/support/test_loop.h"

using namespace layover;
using namespace layover::test;

namespace {

ScriptedUpstream::Script redirect(int status, std::string to) {
  return [status, to = std::move(to)](const UpstreamRequest&, Reply& reply) {
    reply.answer(status, {{"Location", to}}, "moved");
  };
}

struct Timed {
  HttpAnswer answer;
  std::chrono::steady_clock::duration took;
};

Timed timed_get(const RunningProxy& proxy, const std::string& path) {
  const auto begun = std::chrono::steady_clock::now();
  HttpAnswer answer = proxy.get(path);
  return {.answer = std::move(answer), .took = std::chrono::steady_clock::now() - begun};
}

}  // namespace

TEST_CASE("redirects are followed, relative and absolute, and authorization stays at home") {
  ScriptedUpstream store;
  ScriptedUpstream upstream;
  config::Registry registry = registry_at("r.test", upstream);
  registry.credentials = config::Credentials{.username = "user", .password = "secret"};
  RunningProxy proxy(settings_with({registry}));
  upstream.before_all([](const UpstreamRequest& request, Reply& reply) {
    if (!request.header("authorization").empty()) return false;
    reply.answer(401, {{"WWW-Authenticate", "Basic realm=\"r\""}}, "");
    return true;
  });
  unsigned seed = 1;
  for (const int status : {301, 302, 303, 307, 308}) {
    INFO(status);
    const std::string bytes = random_bytes(5000, seed++);
    const std::string digest = upstream.add_blob("a", bytes);
    const std::string hop = fmt::format("/hop/{}", status);
    const std::string target = fmt::format("/store/{}", status);
    upstream.on("*", blob_path("a", digest),
                redirect(status, "../../../../../hop/" + std::to_string(status)));
    upstream.on("*", hop, redirect(status, store.url() + target + "?signature=secret"));
    store.on("*", target, [bytes](const UpstreamRequest&, Reply& reply) { reply.answer(200, {}, bytes); });
    CHECK(proxy.get(blob_path("a", digest)).body == bytes);
  }
  REQUIRE(store.requests().size() == 5);
  for (const UpstreamRequest& request : store.requests()) {
    CHECK(request.header("authorization").empty());
    CHECK(request.query() == "?signature=secret");
    CHECK(request.header("accept-encoding") == "identity");
  }
}

TEST_CASE("redirects that lead nowhere good are refused") {
  Site site;
  struct Case {
    std::string what;
    std::string to;
  };
  for (const Case& one : std::vector<Case>{
           {"the metadata service", "http://169.254.169.254/latest/meta-data/"},
           {"a private address", "http://10.1.2.3/x"},
           {"the unspecified address", "http://0.0.0.0:1/x"},
           {"another scheme", "file:///etc/passwd"},
           {"user information", "http://user:pw@127.0.0.1/x"},
           {"nothing", ""},
       }) {
    INFO(one.what);
    const std::string digest = site.upstream.add_blob("a", one.what);
    site.upstream.on("*", blob_path("a", digest), redirect(302, one.to));
    const HttpAnswer answer = site.proxy.get(blob_path("a", digest));
    CHECK(answer.status == 502);
    CHECK(answer.header("content-type") == "application/json");
  }
}

TEST_CASE("a redirect's body that never ends holds up nothing, and is no error") {
  Site site;
  Gate& gate = site.upstream.gate();
  const std::string path = blob_path("a", site.upstream.add_blob("a", "content"));
  site.upstream.on("*", path, [&](const UpstreamRequest&, Reply& reply) {
    reply.head(302, {{"Location", "/store/x"}, {"Content-Length", "100"}});
    gate.wait();
    reply.close();
  });
  site.upstream.on("*", "/store/x",
                   [](const UpstreamRequest&, Reply& reply) { reply.answer(200, {}, "content"); });
  CHECK(site.proxy.get(path).body == "content");
  CHECK(site.proxy.metric(R"(layover_upstream_errors_total{registry="r.test",reason="timeout"})") == 0);
  gate.open();
}

TEST_CASE("a chain of redirects ends after a few hops") {
  Site site;
  const std::string digest = site.upstream.add_blob("a", "content");
  site.upstream.on("*", blob_path("a", digest), redirect(302, blob_path("a", digest)));
  CHECK(site.proxy.get(blob_path("a", digest)).status == 502);
  CHECK(site.upstream.count("GET") <= 10);
}

TEST_CASE("an answer's presigned query appears in no message to the client") {
  ScriptedUpstream store;
  Site site;
  const std::string digest = site.upstream.add_blob("a", "content");
  site.upstream.on("*", blob_path("a", digest), redirect(307, store.url() + "/x?X-Amz-Signature=topsecret"));
  for (const int status : {403, 500}) {
    store.on("*", "/x", [status](const UpstreamRequest&, Reply& reply) { reply.answer(status, {}, ""); });
    const HttpAnswer answer = site.proxy.get(blob_path("a", digest));
    CHECK(answer.status >= 400);
    CHECK(answer.body.find("topsecret") == std::string::npos);
  }
  store.go_down();
  CHECK(site.proxy.get(blob_path("a", digest)).body.find("topsecret") == std::string::npos);
}

TEST_CASE("everything before the first byte shares one budget, whatever upstream does with it") {
  Site site([](config::Settings& settings) {
    auto& times = Site::registry(settings).times;
    times.first_byte_budget = std::chrono::milliseconds(300);
    times.response_timeout = std::chrono::seconds(15);
    times.idle_timeout = std::chrono::seconds(15);
  });
  Gate& gate = site.upstream.gate();
  struct Case {
    std::string what;
    ScriptedUpstream::Script script;
    int status;
  };
  const auto stall = [&](int status, HeaderList headers) {
    headers.emplace_back("Content-Length", "100");
    return [&gate, status, headers](const UpstreamRequest&, Reply& reply) {
      reply.head(status, headers);
      reply.write("begun");
      gate.wait();
      reply.close();
    };
  };
  const std::vector<Case> cases{
      {"no answer at all", [&](const auto&, Reply& reply) { gate.wait(), reply.close(); }, 504},
      {"a small body that stalls", stall(200, {}), 504},
      {"a refusal whose body stalls", stall(404, {}), 404},
      {"a redirect whose body stalls", stall(302, {{"Location", "/elsewhere"}}), 504},
      {"a challenge whose body stalls",
       stall(401, {{"WWW-Authenticate", fmt::format("Bearer realm=\"{}/token\"", site.upstream.url())}}),
       504},
  };
  for (const Case& one : cases) {
    INFO(one.what);
    const std::string path = blob_path("a", site.upstream.add_blob("a", one.what));
    site.upstream.on("*", path, one.script);
    const Timed timed = timed_get(site.proxy, path);
    CHECK(timed.answer.status >= 400);
    CHECK(timed.took < std::chrono::seconds(8));
  }
  gate.open();
}

TEST_CASE("the budget holds for tags and tokens too, which are read before there is anything to send") {
  Site site([](config::Settings& settings) {
    auto& times = Site::registry(settings).times;
    times.first_byte_budget = std::chrono::milliseconds(300);
    times.idle_timeout = std::chrono::seconds(15);
  });
  Gate& gate = site.upstream.gate();
  const auto stall = [&](int status) {
    return [&gate, status](const UpstreamRequest& request, Reply& reply) {
      reply.head(status, {{"Content-Length", "1000"}});
      if (request.method == "HEAD") return;
      reply.write("{");
      gate.wait();
      reply.close();
    };
  };
  SECTION("a manifest without a digest header") {
    site.upstream.on("*", manifest_path("a", "v1"), stall(200));
  }
  SECTION("a refusal") { site.upstream.on("*", manifest_path("a", "v1"), stall(404)); }
  SECTION("a token") {
    site.upstream.on("*", manifest_path("a", "v1"), [&](const UpstreamRequest&, Reply& reply) {
      reply.answer(401, {{"WWW-Authenticate", fmt::format("Bearer realm=\"{}/token\"", site.upstream.url())}},
                   "");
    });
    site.upstream.on("*", "/token", stall(200));
  }
  const Timed timed = timed_get(site.proxy, manifest_path("a", "v1"));
  CHECK(timed.answer.status >= 400);
  CHECK(timed.took < std::chrono::seconds(8));
  gate.open();
}

TEST_CASE("a refusal whose body drips is told within the budget, without the body") {
  static constexpr std::chrono::seconds kBudget{5};
  Site site([](config::Settings& settings) { Site::registry(settings).times.first_byte_budget = kBudget; });
  std::promise<void> is_over;  // after the site, whose scripts end with it
  const auto drip = [over = is_over.get_future().share()](const UpstreamRequest& request, Reply& reply) {
    reply.head(403, {{"Content-Length", "1000"}});
    if (request.method == "HEAD") return;
    while (over.wait_for(std::chrono::milliseconds(200)) == std::future_status::timeout) reply.write(".");
    reply.close();
  };
  std::string path;
  SECTION("of a blob") { path = blob_path("a", "sha256:" + std::string(64, 'a')); }
  SECTION("of a tag, by HEAD and by GET") { path = manifest_path("a", "v1"); }
  site.upstream.on("GET", path, drip);
  site.upstream.on("HEAD", path, [](const UpstreamRequest&, Reply& reply) { reply.answer(405, {}, ""); });
  const Timed timed = timed_get(site.proxy, path);
  CHECK(timed.answer.status == 403);
  CHECK(timed.answer.is_complete);
  CHECK(timed.took < kBudget);
}

TEST_CASE("a body that stops is given up after idle_timeout, with a short close") {
  Site site([](config::Settings& settings) {
    Site::registry(settings).times.idle_timeout = std::chrono::milliseconds(200);
    Site::registry(settings).times.first_byte_budget = std::chrono::seconds(2);
  });
  const std::string bytes = random_bytes(500'000);
  const std::string path = blob_path("a", site.upstream.add_blob("a", bytes));
  Gate& gate = site.upstream.gate();
  site.upstream.on("*", path, [bytes, &gate](const UpstreamRequest&, Reply& reply) {
    reply.head(200, {{"Content-Length", std::to_string(bytes.size())}});
    reply.write(bytes.substr(0, 200'000));
    gate.wait();
    reply.close();
  });
  const HttpAnswer answer = site.proxy.get(path);
  CHECK_FALSE(answer.is_complete);
  CHECK_FALSE(answer.was_reset);
  CHECK(answer.body.size() <= 200'000);
  gate.open();
  CHECK(site.proxy.metric("layover_upstream_errors_total{registry=\"r.test\",reason=\"timeout\"}") >= 1);
}

TEST_CASE("a pooled connection that upstream has closed costs a second try, not an error") {
  Site site;
  for (unsigned i = 0; i < 10; ++i) {
    const std::string path = blob_path("a", site.upstream.add_blob("a", random_bytes(100, i)));
    const std::string body = random_bytes(100, i);
    if (i % 2 == 1) {
      // Announces to keep the connection, and closes it behind the answer.
      site.upstream.on("*", path, [body](const UpstreamRequest&, Reply& reply) {
        reply.answer(200, {}, body);
        reply.close();
      });
    }
    CHECK(site.proxy.get(path).status == 200);
  }
}

TEST_CASE("one connection upstream is used for one request after the other") {
  Site site([](config::Settings& settings) { settings.threads = 1; });
  for (unsigned i = 0; i < 20; ++i) {
    CHECK(site.proxy.get(blob_path("a", site.upstream.add_blob("a", random_bytes(100, i)))).status == 200);
  }
  CHECK(site.upstream.count("GET") == 20);
  CHECK(site.upstream.connections() == 1);
}
