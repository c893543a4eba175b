// What a client that pulls an image will ask for comes ahead of it; for all others nothing changes.
#include <chrono>
#include <future>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "tests/support/catch.h"
#include "tests/support/running_proxy.h"
#include "tests/support/test_loop.h"

using namespace layover;
using namespace layover::test;

namespace {

constexpr std::size_t kLayerBytes = 300'000;

std::string descriptor(std::string_view type, const std::string& digest, std::size_t size) {
  return fmt::format(R"({{"mediaType":"application/vnd.oci.image.{}","digest":"{}","size":{}}})", type,
                     digest, size);
}

/// An image in the upstream's repository "a".
struct Image {
  std::vector<std::string> bytes;   // of the layers
  std::vector<std::string> layers;  // their paths
  std::string config;               // its path
  std::string manifest;             // its path

  /// `claimed` is what the manifest says of each layer's size.
  explicit Image(ScriptedUpstream& upstream, unsigned count, std::size_t claimed = kLayerBytes) {
    std::string list;
    for (unsigned i = 0; i < count; ++i) {
      bytes.push_back(random_bytes(kLayerBytes, i + 1));
      const std::string digest = upstream.add_blob("a", bytes.back());
      layers.push_back(blob_path("a", digest));
      list += (i > 0 ? "," : "") + descriptor("layer.v1.tar", digest, claimed);
    }
    const std::string content = fmt::format(R"({{"architecture":"amd64","layers":{}}})", count);
    const std::string config_digest = upstream.add_blob("a", content);
    config = blob_path("a", config_digest);
    manifest = manifest_path(
        "a", upstream.add_manifest(
                 "a", fmt::format(R"({{"schemaVersion":2,"config":{},"layers":[{}]}})",
                                  descriptor("config.v1+json", config_digest, content.size()), list)));
  }
};

/// A site that prefetches, as layover does unless told otherwise.
struct PrefetchingSite : Site {
  PrefetchingSite() : PrefetchingSite([](config::Settings&) {}) {}
  template <typename Adjust>
  explicit PrefetchingSite(Adjust adjust)
      : Site([&](config::Settings& settings) {
          settings.cache.prefetch = true;
          adjust(settings);
        }) {}
};

double prefetches(const Site& site, std::string_view result) {
  return site.proxy.metric(fmt::format("layover_prefetches_total{{result=\"{}\"}}", result));
}

/// A download of `path` stops in the middle until the gate is opened.
Gate& stop_halfway(ScriptedUpstream& upstream, const std::string& path, const std::string& bytes) {
  Gate& gate = upstream.gate();
  upstream.on("GET", path, pausing(bytes, bytes.size() / 2, gate));
  return gate;
}

bool is_fetched(const Site& site, const std::string& path) {
  return eventually([&] { return site.upstream.count("GET", path) == 1; }) && site.proxy.settle();
}

/// Long enough for a prefetch to begin, had there been reason to.
void let_it_begin() { std::this_thread::sleep_for(std::chrono::milliseconds(400)); }

}  // namespace

TEST_CASE("an image's configuration comes with its manifest, and its layers with the first of them") {
  PrefetchingSite site;
  const Image image(site.upstream, 5);
  REQUIRE(site.proxy.get(image.manifest).status == 200);
  CHECK(is_fetched(site, image.config));
  let_it_begin();
  CHECK(site.upstream.count("*", "/blobs/") == 1);

  CHECK(site.proxy.get(image.layers[1]).body == image.bytes[1]);
  for (const std::string& layer : image.layers) CHECK(is_fetched(site, layer));
  CHECK(prefetches(site, "unasked") == 5);
  CHECK(prefetches(site, "asked") == 0);

  // It gives nobody a right: that is asked for with the content.
  CHECK(site.upstream.count("HEAD", "/blobs/") == 0);
  for (std::size_t i : {0U, 2U, 3U, 4U}) {
    const HttpAnswer answer = site.proxy.get(image.layers[i]);
    CHECK(answer.body == image.bytes[i]);
    CHECK(answer.header("X-Cache") == "MISS");
    CHECK(site.upstream.count("HEAD", image.layers[i]) == 1);
    CHECK(site.upstream.count("GET", image.layers[i]) == 1);
  }
  // All of it was fetched for this client.
  CHECK(site.proxy.metric("layover_saved_bytes_total{registry=\"r.test\"}") == 0);
  CHECK(site.proxy.get(image.layers[0]).header("X-Cache") == "HIT");
}

TEST_CASE("who only looks at an image makes no layer come") {
  PrefetchingSite site;
  const Image image(site.upstream, 3);
  SECTION("by HEAD") {
    REQUIRE(site.proxy.head(image.manifest).status == 200);
    let_it_begin();
    CHECK(site.upstream.count("*", "/blobs/") == 0);
  }
  SECTION("at its configuration") {
    REQUIRE(site.proxy.get(image.manifest).status == 200);
    REQUIRE(site.proxy.get(image.config).status == 200);
    let_it_begin();
    for (const std::string& layer : image.layers) CHECK(site.upstream.count("*", layer) == 0);
  }
  SECTION("at whether its layers are there") {
    REQUIRE(site.proxy.get(image.manifest).status == 200);
    REQUIRE(site.proxy.head(image.layers[0]).status == 200);
    let_it_begin();
    for (const std::string& layer : image.layers) CHECK(site.upstream.count("GET", layer) == 0);
  }
  SECTION("at a piece of a layer, as one who reads it lazily does") {
    REQUIRE(site.proxy.get(image.manifest).status == 200);
    REQUIRE(site.proxy.get(image.layers[0], {{"Range", "bytes=100-199"}}).status == 206);
    let_it_begin();
    CHECK(site.upstream.count("GET", image.layers[1]) == 0);
  }
  SECTION("at an index of images") {
    const std::string digest = image.manifest.substr(image.manifest.find("sha256:"));
    const std::string index = fmt::format(
        R"({{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{}","size":1}}]}})",
        digest);
    const std::string path =
        manifest_path("a", site.upstream.add_manifest("a", index, "application/vnd.oci.image.index.v1+json"));
    REQUIRE(site.proxy.get(path).status == 200);
    let_it_begin();
    CHECK(site.upstream.count("*") == 1);
  }
}

TEST_CASE("the layers come as well where the manifest and some of them are here already") {
  PrefetchingSite site;
  const Image image(site.upstream, 4);
  REQUIRE(site.proxy.get(image.layers[0]).body == image.bytes[0]);
  REQUIRE(site.proxy.head(image.manifest).status == 200);
  REQUIRE(site.proxy.get(image.manifest).status == 200);
  REQUIRE(site.proxy.settle());
  CHECK(site.proxy.get(image.layers[0], {{"Range", "bytes=0-"}}).header("X-Cache") == "HIT");
  for (const std::string& layer : image.layers) CHECK(is_fetched(site, layer));
}

TEST_CASE("prefetching can be forbidden, for all registries and for one") {
  const bool is_for_all = GENERATE(true, false);
  PrefetchingSite site([is_for_all](config::Settings& settings) {
    (is_for_all ? settings.cache.prefetch : Site::registry(settings).prefetch) = false;
  });
  const Image image(site.upstream, 2);
  REQUIRE(site.proxy.get(image.manifest).status == 200);
  REQUIRE(site.proxy.get(image.layers[0]).body == image.bytes[0]);
  let_it_begin();
  CHECK(site.upstream.count("GET", "/blobs/") == 1);
}

TEST_CASE("what is prefetched is given to nobody whom upstream would not give it") {
  PrefetchingSite site;
  const Image image(site.upstream, 3);
  REQUIRE(site.proxy.get(image.manifest).status == 200);
  REQUIRE(site.proxy.get(image.layers[0]).status == 200);
  REQUIRE(is_fetched(site, image.layers[1]));
  site.upstream.on("*", image.layers[1],
                   [](const UpstreamRequest&, Reply& reply) { reply.answer(403, {}, "no"); });
  CHECK(site.proxy.get(image.layers[1]).status == 403);
  // Nor is it a right in another repository.
  std::string elsewhere = image.layers[2];
  elsewhere.replace(elsewhere.find("/a/"), 3, "/b/");
  REQUIRE(is_fetched(site, image.layers[2]));
  CHECK(site.proxy.get(elsewhere).status == 404);
}

TEST_CASE("a client that asks for a layer on its way joins it, and has all of it") {
  PrefetchingSite site;
  const Image image(site.upstream, 2);
  Gate& half = stop_halfway(site.upstream, image.layers[1], image.bytes[1]);
  REQUIRE(site.proxy.get(image.manifest).status == 200);
  REQUIRE(site.proxy.get(image.layers[0]).status == 200);
  REQUIRE(eventually([&] { return half.waiting() == 1; }));
  HttpClient client(site.proxy.address());
  client.request("GET", image.layers[1]);
  HttpAnswer answer = client.read_head();
  CHECK(answer.header("X-Cache") == "MISS");
  half.open();
  while (client.read_some(answer, kLayerBytes)) {
  }
  CHECK(answer.body == image.bytes[1]);
  CHECK(site.proxy.settle());
  CHECK(site.upstream.count("GET", image.layers[1]) == 1);
  CHECK(site.upstream.count("HEAD", image.layers[1]) == 1);
  CHECK(eventually([&] { return prefetches(site, "asked") == 1; }));
}

TEST_CASE("no more than 8 layers come at once that nobody has asked for") {
  PrefetchingSite site;
  const Image image(site.upstream, 14);
  Gate& gate = site.upstream.gate();
  for (std::size_t i = 1; i < image.layers.size(); ++i) {
    site.upstream.on("GET", image.layers[i],
                     [&gate, bytes = image.bytes[i]](const UpstreamRequest&, Reply& reply) {
                       gate.wait();
                       reply.answer(200, {}, bytes);
                     });
  }
  REQUIRE(site.proxy.get(image.manifest).status == 200);
  REQUIRE(is_fetched(site, image.config));
  REQUIRE(site.proxy.get(image.layers[0]).status == 200);
  REQUIRE(eventually([&] { return gate.waiting() == 8; }));
  let_it_begin();
  CHECK(gate.waiting() == 8);
  gate.open();
  for (const std::string& layer : image.layers) CHECK(is_fetched(site, layer));
}

TEST_CASE("the layers of an image that come ahead add up to no more than max_object") {
  PrefetchingSite site([](config::Settings& settings) {
    settings.cache.max_object = config::Space::absolute(Bytes{2 * kLayerBytes + 1000});
  });
  const Image image(site.upstream, 6);
  REQUIRE(site.proxy.get(image.manifest).status == 200);
  REQUIRE(site.proxy.get(image.layers[0]).status == 200);
  CHECK(is_fetched(site, image.layers[1]));
  CHECK(is_fetched(site, image.layers[2]));
  let_it_begin();
  CHECK(site.upstream.count("GET", image.layers[3]) == 0);
}

TEST_CASE("a layer that is larger than its manifest says is not downloaded ahead") {
  PrefetchingSite site;
  const Image image(site.upstream, 2, 1000);
  REQUIRE(site.proxy.get(image.manifest).status == 200);
  REQUIRE(site.proxy.get(image.layers[0]).status == 200);
  REQUIRE(eventually([&] { return prefetches(site, "stopped") == 1; }));
  CHECK(site.proxy.metric("layover_upstream_received_bytes_total{registry=\"r.test\"}") < 2.0 * kLayerBytes);
  const HttpAnswer answer = site.proxy.get(image.layers[1]);
  CHECK(answer.body == image.bytes[1]);
  CHECK(answer.header("X-Cache") == "MISS");
}

TEST_CASE("a prefetch gives way to a client that waits for its connection") {
  PrefetchingSite site([](config::Settings& settings) { Site::registry(settings).max_connections = 1; });
  const Image image(site.upstream, 2);
  Gate& never = stop_halfway(site.upstream, image.layers[1], image.bytes[1]);
  REQUIRE(site.proxy.get(image.manifest).status == 200);
  REQUIRE(is_fetched(site, image.config));
  REQUIRE(site.proxy.get(image.layers[0]).status == 200);
  REQUIRE(eventually([&] { return never.waiting() == 1; }));
  SECTION("for other content") {
    const std::string other = random_bytes(1000, 99);
    CHECK(site.proxy.get(blob_path("a", site.upstream.add_blob("a", other))).body == other);
  }
  SECTION("for the question whether it may have this very layer") {
    site.upstream.on("GET", image.layers[1],
                     [bytes = image.bytes[1]](const UpstreamRequest& request, Reply& reply) {
                       reply.answer(request.header("Range").empty() ? 200 : 500, {}, bytes);
                     });
    CHECK(site.proxy.get(image.layers[1]).body == image.bytes[1]);
  }
  CHECK(eventually([&] { return prefetches(site, "stopped") == 1; }));
  CHECK(site.proxy.metric("layover_cache_degraded") == 0);
}

TEST_CASE("a prefetch that is answered late says nothing of the registry") {
  PrefetchingSite site([](config::Settings& settings) {
    Site::registry(settings).times.confirm_timeout = std::chrono::milliseconds(100);
    Site::registry(settings).times.tag_ttl = std::chrono::minutes(1);
  });
  site.upstream.add_tag("a", "v1", image_manifest());
  const std::string tag = manifest_path("a", "v1");
  REQUIRE(site.proxy.get(tag).status == 200);
  const Image image(site.upstream, 1);
  Gate& gate = site.upstream.gate();
  site.upstream.on("GET", image.config, [&gate](const UpstreamRequest&, Reply& reply) {
    gate.wait();
    reply.answer(404, {}, "{}");
  });
  REQUIRE(site.proxy.get(image.manifest).status == 200);
  REQUIRE(eventually([&] { return gate.waiting() == 1; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(300));  // longer than confirm_timeout
  site.proxy.clock().advance(std::chrono::minutes(2));
  const int asked = site.upstream.count("HEAD", "/manifests/v1");
  CHECK(site.proxy.get(tag).status == 200);
  CHECK(eventually([&] { return site.upstream.count("HEAD", "/manifests/v1") == asked + 1; }));
  gate.open();
}

TEST_CASE("a prefetch that finds its mirror busy does not go to the registry instead") {
  ScriptedUpstream own;
  ScriptedUpstream mirror;
  config::Registry registry = registry_at("r.test", own);
  registry.mirrors = {{.url = {.is_tls = false, .host = "127.0.0.1", .port = mirror.port()}}};
  registry.max_connections = 1;
  config::Settings settings = settings_with({registry});
  settings.cache.prefetch = true;
  RunningProxy proxy(std::move(settings));
  const Image image(mirror, 2);
  Gate& never = stop_halfway(mirror, image.layers[0], image.bytes[0]);
  REQUIRE(proxy.get(image.manifest).status == 200);
  REQUIRE(eventually([&] { return proxy.metric("layover_fills_total{result=\"committed\"}") == 2; }));
  own.forget_requests();
  auto read = std::async(std::launch::async, [&] { return proxy.get(image.layers[0]).body; });
  REQUIRE(eventually([&] { return never.waiting() == 1; }));
  REQUIRE(eventually([&] { return proxy.metric("layover_prefetches_total{result=\"stopped\"}") == 1; }));
  CHECK(own.requests().empty());
  never.open();
  CHECK(read.get() == image.bytes[0]);
}

TEST_CASE("a layer that no client asks for within 10 s is given up, and what there is of it goes on later") {
  PrefetchingSite site;
  const std::size_t size = 12'000'000;
  const std::string bytes = random_bytes(size, 7);
  const std::string digest = site.upstream.add_blob("a", bytes);
  const std::string first = random_bytes(1000, 8);
  const std::string first_digest = site.upstream.add_blob("a", first);
  const std::string manifest = manifest_path(
      "a",
      site.upstream.add_manifest("a", fmt::format(R"({{"schemaVersion":2,"config":{},"layers":[{},{}]}})",
                                                  descriptor("config.v1+json", first_digest, first.size()),
                                                  descriptor("layer.v1.tar", first_digest, first.size()),
                                                  descriptor("layer.v1.tar", digest, size))));
  Gate& never = site.upstream.gate();
  site.upstream.on(
      "GET", blob_path("a", digest), [&never, bytes, size](const UpstreamRequest& request, Reply& reply) {
        if (request.header("Range").empty()) {
          reply.head(200, {{"Content-Length", std::to_string(size)}});
          reply.write(std::string_view(bytes).substr(0, 10'000'000));
          never.wait();
          return;
        }
        const auto begin = std::stoull(request.header("Range").substr(6));
        reply.answer(206, {{"Content-Range", fmt::format("bytes {}-{}/{}", begin, size - 1, size)}},
                     std::string_view(bytes).substr(begin));
      });
  REQUIRE(site.proxy.get(manifest).status == 200);
  REQUIRE(site.proxy.get(blob_path("a", first_digest)).status == 200);
  REQUIRE(eventually([&] { return never.waiting() == 1; }));
  const auto began = Deadline::Clock::now();
  REQUIRE(eventually([&] { return prefetches(site, "stopped") == 1; }, std::chrono::seconds(20)));
  CHECK(Deadline::Clock::now() - began > std::chrono::seconds(5));
  CHECK(site.proxy.get(blob_path("a", digest)).body == bytes);
  CHECK(site.proxy.metric("layover_upstream_received_bytes_total{registry=\"r.test\"}") < 1.1 * size);
}
