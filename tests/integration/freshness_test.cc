// How long layover believes what it knows: tags within and after tag_ttl, one question at a time, outages and
// rate limits that are remembered, what is not there, and validators in both directions.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/catch.h"
#include "tests/support/running_proxy.h"

using namespace layover;
using namespace layover::test;
using namespace std::chrono_literals;

namespace {

/// A site whose tags are good for a minute. Its upstream is quick, however busy the machine, unless `times`
/// says otherwise.
struct FreshSite : Site {
  explicit FreshSite(const config::Times& times = {})
      : Site([&times](auto& settings) {
          registry(settings).times = times;
          registry(settings).times.tag_ttl = 1min;
        }) {}

  /// A tag that layover has stored.
  std::string add_known_tag(const std::string& tag, const std::string& manifest = image_manifest()) {
    const std::string digest = upstream.add_tag("a", tag, manifest);
    REQUIRE(proxy.get(manifest_path("a", tag)).status == 200);
    REQUIRE(proxy.settle());
    upstream.forget_requests();
    return digest;
  }

  std::string get(const std::string& tag) { return proxy.get(manifest_path("a", tag)).header("x-cache"); }
};

template <typename Ask>
void ask_at_once(int clients, Ask ask) {
  std::vector<std::jthread> threads;
  for (int i = 0; i < clients; ++i) threads.emplace_back(ask);
}

}  // namespace

TEST_CASE("a tag within its time costs upstream nothing, by GET or HEAD, also after a restart") {
  FreshSite site;
  const std::string digest = site.add_known_tag("v1");
  CHECK(site.get("v1") == "HIT");
  const HttpAnswer head = site.proxy.head(manifest_path("a", "v1"));
  CHECK(head.header("x-cache") == "HIT");
  CHECK(head.header("docker-content-digest") == digest);
  CHECK(head.header("content-length") == std::to_string(image_manifest().size()));
  site.proxy.restart();
  CHECK(site.get("v1") == "HIT");
  CHECK(site.upstream.requests().empty());
}

TEST_CASE("after its time an unchanged tag costs one HEAD with its validator, and no GET") {
  FreshSite site;
  const std::string digest = site.add_known_tag("v1");
  for (int round = 0; round < 3; ++round) {
    site.upstream.forget_requests();
    site.proxy.clock().advance(61s);
    CHECK(site.get("v1") == "REVALIDATED");
    CHECK(site.get("v1") == "HIT");
    const auto requests = site.upstream.requests();
    REQUIRE(requests.size() == 1);
    CHECK(requests.front().method == "HEAD");
    CHECK(requests.front().header("if-none-match").find("\"" + digest + "\"") != std::string::npos);
  }
}

TEST_CASE("a 304 confirms a tag") {
  FreshSite site;
  const std::string digest = site.add_known_tag("v1");
  site.upstream.on("HEAD", manifest_path("a", "v1"), [digest](const UpstreamRequest& request, Reply& reply) {
    const bool is_known = request.header("if-none-match").find(digest) != std::string::npos;
    reply.head(is_known ? 304 : 500, {});
  });
  site.proxy.clock().advance(61s);
  CHECK(site.get("v1") == "REVALIDATED");
  CHECK(site.proxy.get(manifest_path("a", "v1")).body == image_manifest());
  CHECK(site.upstream.count("*") == 1);
}

TEST_CASE("a tag that has moved is seen after its time, not before") {
  FreshSite site;
  site.add_known_tag("v1");
  const std::string moved = site.upstream.add_tag("a", "v1", image_manifest("moved"));
  CHECK(site.proxy.get(manifest_path("a", "v1")).body == image_manifest());
  site.proxy.clock().advance(61s);
  const HttpAnswer answer = site.proxy.get(manifest_path("a", "v1"));
  CHECK(answer.body == image_manifest("moved"));
  CHECK(answer.header("docker-content-digest") == moved);
  CHECK(answer.header("x-cache") == "MISS");
}

TEST_CASE(
    "a tag that is known, but whose manifest has been dropped upstream before it was stored, is asked for") {
  FreshSite site;
  const std::string old = site.upstream.add_tag("a", "v1", image_manifest());
  CHECK(site.proxy.head(manifest_path("a", "v1")).header("docker-content-digest") == old);
  site.upstream.add_tag("a", "v1", image_manifest("moved"));
  site.upstream.on("*", manifest_path("a", old),
                   [](const auto&, Reply& reply) { reply.answer(404, {}, ""); });
  const HttpAnswer answer = site.proxy.get(manifest_path("a", "v1"));
  CHECK(answer.status == 200);
  CHECK(answer.body == image_manifest("moved"));
}

TEST_CASE("thirty requests at once for a stale tag cost one HEAD, for an unknown one a HEAD and a GET") {
  FreshSite site;
  site.add_known_tag("v1");
  site.upstream.add_tag("a", "new", image_manifest("new"));
  site.proxy.clock().advance(61s);
  for (const std::string tag : {"v1", "new"}) {
    INFO(tag);
    std::atomic<int> good{0};
    ask_at_once(30, [&] { good += site.proxy.get(manifest_path("a", tag)).status == 200 ? 1 : 0; });
    CHECK(good == 30);
    CHECK(site.upstream.count("HEAD", tag) == 1);
  }
  CHECK(site.upstream.count("GET") == 1);
}

TEST_CASE("a client that leaves while its tag is being asked for takes nothing from those who wait with it") {
  FreshSite site;
  site.upstream.add_tag("a", "v1", image_manifest());
  Gate& gate = site.upstream.gate();
  const std::string digest = site.upstream.add_manifest("a", image_manifest());
  site.upstream.on("HEAD", manifest_path("a", "v1"), [&gate, digest](const auto&, Reply& reply) {
    gate.wait();
    reply.answer(200, {{"Docker-Content-Digest", digest}}, "");
  });
  {
    HttpClient leaver(site.proxy.address());
    leaver.request("GET", manifest_path("a", "v1"));
    while (gate.waiting() == 0) std::this_thread::yield();
  }
  HttpAnswer answer;
  {
    std::jthread waiter([&] { answer = site.proxy.get(manifest_path("a", "v1")); });
    gate.open();
  }
  CHECK(answer.status == 200);
  CHECK(site.upstream.count("HEAD", "v1") == 1);
}

TEST_CASE(
    "an outage is remembered: a second request for a known tag does not even try, until upstream answers") {
  FreshSite site;
  site.add_known_tag("v1");
  site.add_known_tag("v2", image_manifest("two"));
  site.proxy.clock().advance(61s);
  site.upstream.on("*", manifest_path("a", "v1"),
                   [](const auto&, Reply& reply) { reply.answer(503, {}, ""); });
  const HttpAnswer stale = site.proxy.get(manifest_path("a", "v1"));
  CHECK(stale.status == 200);
  CHECK(stale.header("x-cache") == "STALE");
  CHECK(stale.header("warning").find("299 - \"layover: stale, r.test") == 0);
  CHECK(site.upstream.count("*") == 1);
  CHECK(site.get("v1") == "STALE");
  CHECK(site.get("v2") == "STALE");
  CHECK(site.upstream.count("*") == 1);
  CHECK(site.proxy.metric("layover_stale_served_total{registry=\"r.test\"}") == 3);
  // What has nothing to fall back on goes through, and its answer ends the outage.
  CHECK(site.proxy.get(blob_path("a", site.upstream.add_blob("a", "blob"))).status == 200);
  CHECK(site.get("v2") == "REVALIDATED");
}

TEST_CASE("a slow upstream delays a known tag once, by confirm_timeout; its late answer still counts") {
  FreshSite site({.confirm_timeout = 300ms});
  const std::string digest = site.add_known_tag("v1");
  site.proxy.clock().advance(61s);
  Gate& gate = site.upstream.gate();
  site.upstream.on("HEAD", manifest_path("a", "v1"), [&gate, digest](const auto&, Reply& reply) {
    gate.wait();
    reply.answer(200, {{"Docker-Content-Digest", digest}}, "");
  });
  CHECK(site.get("v1") == "STALE");
  CHECK(site.upstream.count("HEAD", "v1") == 1);
  gate.open();
  const auto limit = std::chrono::steady_clock::now() + 10s;
  while (site.get("v1") != "HIT" && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
  CHECK(site.get("v1") == "HIT");
  CHECK(site.upstream.count("HEAD", "v1") == 1);
}

TEST_CASE("an upstream that was silent is asked again after a pause, however often its tags are asked for") {
  FreshSite site({.response_timeout = 500ms, .confirm_timeout = 300ms});
  site.add_known_tag("v1");
  std::atomic<bool> is_silent = true;
  Gate& gate = site.upstream.gate();
  site.upstream.before_all([&](const UpstreamRequest&, Reply& reply) {
    if (!is_silent) return false;
    gate.wait();
    reply.close();
    return true;
  });
  site.proxy.clock().advance(61s);
  CHECK(site.get("v1") == "STALE");
  std::this_thread::sleep_for(1s);  // until the question has timed out
  is_silent = false;
  const auto until = std::chrono::steady_clock::now() + 10s;
  std::string how = "STALE";
  while (how == "STALE" && std::chrono::steady_clock::now() < until) {
    how = site.get("v1");
    std::this_thread::sleep_for(200ms);
  }
  gate.open();
  CHECK(how == "REVALIDATED");
}

TEST_CASE("a rate limit is remembered: retries cost upstream nothing, known tags are served stale") {
  FreshSite site;
  site.add_known_tag("known");
  site.proxy.clock().advance(61s);
  site.upstream.on("*", manifest_path("a", "v1"),
                   [](const auto&, Reply& reply) { reply.answer(429, {{"Retry-After", "30"}}, ""); });
  for (int attempt = 0; attempt < 6; ++attempt) {
    const HttpAnswer answer = site.proxy.get(manifest_path("a", "v1"));
    CHECK(answer.status == 429);
    const int left = std::stoi(answer.header("retry-after"));
    CHECK((left > 25 && left <= 30));
    CHECK(answer.body.find("TOOMANYREQUESTS") != std::string::npos);
  }
  CHECK(site.get("known") == "STALE");
  CHECK(site.upstream.count("*") == 1);
  // The limit is on manifests: blobs are still to be had.
  CHECK(site.proxy.get(blob_path("a", site.upstream.add_blob("a", "blob"))).status == 200);
}

TEST_CASE("the first client of a rate limit without a time is told when to come again, as all after it") {
  FreshSite site;
  site.upstream.on("*", manifest_path("a", "v1"),
                   [](const auto&, Reply& reply) { reply.answer(429, {}, ""); });
  for (int attempt = 0; attempt < 2; ++attempt) {
    const HttpAnswer answer = site.proxy.get(manifest_path("a", "v1"));
    CHECK(answer.status == 429);
    CHECK_FALSE(answer.header("retry-after").empty());
  }
  CHECK(site.upstream.count("*") == 1);
}

TEST_CASE("what is not there is not asked for again within not_found_ttl") {
  FreshSite site({.not_found_ttl = 1min});
  const std::string digest = site.upstream.add_blob("elsewhere", "blob");
  for (const std::string& path : {manifest_path("a", "v1"), blob_path("a", digest)}) {
    CHECK(site.proxy.get(path).status == 404);
    const int asked = site.upstream.count("*", path);
    CHECK(site.proxy.get(path).status == 404);
    CHECK(site.proxy.get(path, {{"Range", "bytes=0-1"}}).status == 404);
    CHECK(site.upstream.count("*", path) == asked);
  }
}

TEST_CASE("what was not there is seen after not_found_ttl") {
  FreshSite site({.not_found_ttl = 300ms});
  const std::string digest = site.upstream.add_blob("elsewhere", "blob");
  const std::vector<std::string> paths{manifest_path("a", "v1"), blob_path("a", digest)};
  for (const std::string& path : paths) CHECK(site.proxy.get(path).status == 404);
  site.upstream.add_tag("a", "v1", image_manifest());
  site.upstream.add_blob("a", "blob");
  for (const std::string& path : paths) {
    const auto limit = std::chrono::steady_clock::now() + 10s;
    while (site.proxy.get(path).status != 200 && std::chrono::steady_clock::now() < limit) {
      std::this_thread::yield();
    }
    CHECK(site.proxy.get(path).status == 200);
  }
}

TEST_CASE("a tag that upstream has deleted or closed is gone in all its variants") {
  const int status = GENERATE(401, 403);
  INFO(status);
  FreshSite site;
  site.add_known_tag("v1");
  const HeaderList oci{{"Accept", "application/vnd.oci.image.manifest.v1+json"}};
  REQUIRE(site.proxy.get(manifest_path("a", "v1"), oci).status == 200);
  site.proxy.clock().advance(61s);
  site.upstream.on("*", manifest_path("a", "v1"),
                   [status](const auto&, Reply& reply) { reply.answer(status, {}, ""); });
  CHECK(site.proxy.get(manifest_path("a", "v1")).status == status);
  site.upstream.go_down();
  CHECK(site.proxy.get(manifest_path("a", "v1"), oci).status == 502);
  CHECK(site.proxy.get(manifest_path("a", "v1")).status == 502);
}

TEST_CASE("a client that has the content is told so: 304 with the validator and no body") {
  FreshSite site;
  const std::string digest = site.add_known_tag("v1");
  const std::string blob = site.upstream.add_blob("a", random_bytes(100'000));
  for (const std::string& path :
       {manifest_path("a", "v1"), manifest_path("a", digest), blob_path("a", blob)}) {
    INFO(path);
    const std::string tag = "\"" + (path.find("/blobs/") != std::string::npos ? blob : digest) + "\"";
    for (const std::string& condition : {tag, "\"other\", W/" + tag, std::string("*")}) {
      INFO(condition);
      for (const HttpAnswer& answer : {site.proxy.get(path, {{"If-None-Match", condition}}),
                                       site.proxy.head(path, {{"If-None-Match", condition}})}) {
        CHECK(answer.status == 304);
        CHECK(answer.body.empty());
        CHECK(answer.header("etag") == tag);
      }
    }
    for (const std::string& condition : {std::string("\"other\""), digest, std::string("\"")}) {
      CHECK(site.proxy.get(path, {{"If-None-Match", condition}}).status == 200);
    }
  }
}
