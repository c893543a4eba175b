// Registries that are slow and not down: what is waited for, what stands in meanwhile, and who is blamed.
#include <chrono>
#include <future>
#include <string>
#include <thread>

#include "tests/support/catch.h"
#include "tests/support/running_proxy.h"
#include "tests/support/test_loop.h"

using namespace layover;
using namespace layover::test;
using namespace std::chrono_literals;

namespace {

/// A site that waits 200 ms where something stored can stand in.
struct SlowSite : Site {
  template <typename Adjust>
  explicit SlowSite(Adjust adjust)
      : Site([&adjust](config::Settings& settings) {
          registry(settings).times.confirm_timeout = 200ms;
          adjust(registry(settings));
        }) {}
  SlowSite() : SlowSite([](config::Registry&) {}) {}

  /// The path of a blob that is stored, and whose grant is too old.
  std::string blob_with_old_grant() {
    const std::string path = blob_path("a", upstream.add_blob("a", random_bytes(5000)));
    REQUIRE(proxy.get(path).status == 200);
    REQUIRE(proxy.settle());
    proxy.clock().advance(25h);
    return path;
  }
  /// From now on HEAD of `path` is answered once the gate is open.
  Gate& hold_head(const std::string& path) {
    Gate& gate = upstream.gate();
    upstream.on("HEAD", path, [&gate](const UpstreamRequest&, Reply& reply) {
      gate.wait();
      reply.answer(200, {}, random_bytes(5000));
    });
    return gate;
  }
  std::string how(const std::string& path) { return proxy.get(path).header("x-cache"); }
};

}  // namespace

TEST_CASE("a right is renewed by an answer that comes after its client was served stale") {
  SlowSite site;
  const std::string path = site.blob_with_old_grant();
  Gate& gate = site.hold_head(path);
  CHECK(site.how(path) == "STALE");
  gate.open();
  const auto answered = R"(layover_upstream_requests_total{registry="r.test",kind="blob",code="200"})";
  REQUIRE(eventually([&] { return site.proxy.metric(answered) == 2; }));  // the download, and that
  site.upstream.go_down();
  CHECK(eventually([&] { return site.how(path) == "HIT"; }));
}

TEST_CASE("a refusal that comes after its client was served stale takes the right away") {
  SlowSite site;
  const std::string path = site.blob_with_old_grant();
  Gate& gate = site.upstream.gate();
  site.upstream.on("*", path, [&gate](const UpstreamRequest&, Reply& reply) {
    gate.wait();
    reply.answer(403, {}, "{}");
  });
  CHECK(site.how(path) == "STALE");
  gate.open();
  CHECK(eventually([&] { return site.proxy.get(path).status == 403; }));
}

TEST_CASE("where nothing can stand in, a slow answer is waited for") {
  SlowSite site([](config::Registry& registry) { registry.times.stale_ttl = 0ms; });
  const std::string path = site.blob_with_old_grant();
  Gate& gate = site.hold_head(path);
  std::jthread later([&gate] {
    std::this_thread::sleep_for(600ms);  // three times confirm_timeout
    gate.open();
  });
  CHECK(site.how(path) == "REVALIDATED");
  CHECK(eventually([&] { return site.how(path) == "HIT"; }));
}

TEST_CASE("who waits for a connection of max_connections says nothing of the registry") {
  SlowSite site([](config::Registry& registry) {
    registry.max_connections = 1;
    registry.times.tag_ttl = 1min;
  });
  site.upstream.add_tag("a", "v1", image_manifest());
  const std::string tag = manifest_path("a", "v1");
  REQUIRE(site.proxy.get(tag).status == 200);
  REQUIRE(site.proxy.settle());
  site.proxy.clock().advance(2min);
  const std::string slow = blob_path("a", site.upstream.add_blob("a", "content"));
  Gate& gate = site.upstream.gate();
  site.upstream.on("GET", slow, [&gate](const UpstreamRequest&, Reply& reply) {
    gate.wait();
    reply.answer(200, {}, "content");
  });
  auto read = std::async(std::launch::async, [&] { return site.proxy.get(slow).body; });
  REQUIRE(eventually([&] { return gate.waiting() == 1; }));
  CHECK(site.how(tag) == "STALE");
  std::this_thread::sleep_for(300ms);  // the question goes on, for longer than confirm_timeout
  gate.open();
  CHECK(read.get() == "content");
  CHECK(eventually([&] { return site.how(tag) == "HIT"; }));
}
