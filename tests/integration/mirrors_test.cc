// A registry with mirrors: who is asked for what, in which order, and who is believed.
#include <atomic>
#include <chrono>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "tests/support/catch.h"
#include "tests/support/held_port.h"
#include "tests/support/running_proxy.h"
#include "tests/support/test_loop.h"

using namespace layover;
using namespace layover::test;

namespace {

config::Mirror mirror_at(const ScriptedUpstream& upstream, bool may_resolve = false) {
  return {.url = {.is_tls = false, .host = "127.0.0.1", .port = upstream.port()}, .may_resolve = may_resolve};
}

/// The registry r.test with two mirrors.
struct MirroredSite {
  ScriptedUpstream first;
  ScriptedUpstream second;
  ScriptedUpstream own;
  RunningProxy proxy;

  MirroredSite() : MirroredSite([](config::Registry&) {}) {}
  template <typename Adjust>
  explicit MirroredSite(Adjust adjust) : proxy(settings(adjust)) {}

 private:
  template <typename Adjust>
  config::Settings settings(Adjust adjust) {
    config::Registry registry = registry_at("r.test", own);
    registry.mirrors = {mirror_at(first), mirror_at(second)};
    adjust(registry);
    return settings_with({registry});
  }
};

ScriptedUpstream::Script refuse(int status) {
  return [status](const UpstreamRequest&, Reply& reply) {
    reply.answer(status, {{"Content-Type", "application/json"}}, R"({"errors":[]})");
  };
}

}  // namespace

TEST_CASE("a mirror that sees a loop refuses one request, and is not down") {
  MirroredSite site;
  const std::string looping = blob_path("a", site.own.add_blob("a", random_bytes(1000, 1)));
  site.first.on("*", looping, refuse(508));
  CHECK(site.proxy.get(looping).status == 200);
  const std::string other = random_bytes(1000, 2);
  CHECK(site.proxy.get(blob_path("a", site.first.add_blob("a", other))).body == other);
}

TEST_CASE("content is asked for at the mirrors in their order, then at the registry") {
  MirroredSite site;
  const std::string at_first = random_bytes(100'000, 1);
  const std::string at_second = random_bytes(100'000, 2);
  const std::string at_own = random_bytes(100'000, 3);
  for (ScriptedUpstream* upstream : {&site.first, &site.second, &site.own}) {
    upstream->add_blob("a", at_own);
    if (upstream != &site.own) upstream->add_blob("a", at_second);
  }
  const std::string on_first = site.first.add_blob("a", at_first);
  const std::string on_second = site.second.add_blob("a", at_second);
  const std::string on_own = site.own.add_blob("a", at_own);
  CHECK(site.proxy.get(blob_path("a", on_first)).body == at_first);
  CHECK(site.second.count("*") == 0);
  site.first.on("*", blob_path("a", on_second), refuse(404));
  CHECK(site.proxy.get(blob_path("a", on_second)).body == at_second);
  CHECK(site.own.count("*") == 0);
  site.first.on("*", blob_path("a", on_own), refuse(403));
  site.second.on("*", blob_path("a", on_own), refuse(401));
  CHECK(site.proxy.get(blob_path("a", on_own)).body == at_own);
  CHECK(site.own.count("GET") == 1);

  const std::string manifest = image_manifest("mirrored");
  const std::string digest = site.first.add_manifest("a", manifest);
  CHECK(site.proxy.get(manifest_path("a", digest)).body == manifest);
  CHECK(site.own.count("*", "/manifests/") == 0);
}

TEST_CASE("the registry alone is believed in what is not there or may not be read") {
  MirroredSite site;
  for (const int status : {401, 403, 404, 429, 500}) {
    INFO(status);
    const std::string bytes = fmt::format("blob {}", status);
    const std::string digest = site.own.add_blob("a", bytes);
    site.first.on("*", blob_path("a", digest), refuse(status));
    site.second.on("*", blob_path("a", digest), refuse(status));
    CHECK(site.proxy.get(blob_path("a", digest)).body == bytes);
  }
  const std::string missing = "sha256:" + std::string(64, 'e');
  site.first.on("*", blob_path("a", missing), refuse(403));
  const HttpAnswer answer = site.proxy.get(blob_path("a", missing));
  CHECK(answer.status == 404);
}

TEST_CASE("tags are asked for only where a mirror may resolve them") {
  SECTION("not otherwise") {
    MirroredSite site;
    const std::string theirs = image_manifest("mirror");
    const std::string ours = image_manifest("own");
    site.first.add_tag("a", "latest", theirs);
    site.own.add_tag("a", "latest", ours);
    CHECK(site.proxy.get(manifest_path("a", "latest")).body == ours);
    CHECK(site.first.count("*", "/manifests/latest") == 0);
  }
  SECTION("and the next one where it cannot") {
    MirroredSite site([](config::Registry& registry) {
      for (config::Mirror& mirror : registry.mirrors) mirror.may_resolve = true;
    });
    const std::string theirs = image_manifest("mirror");
    site.second.add_tag("a", "latest", theirs);
    site.own.add_tag("a", "latest", image_manifest("own"));
    CHECK(site.proxy.get(manifest_path("a", "latest")).body == theirs);
    CHECK(site.first.count("*", "/manifests/latest") > 0);
    CHECK(site.own.count("*") == 0);
    // A portal's page is no answer.
    site.second.on("*", manifest_path("a", "latest"), [](const UpstreamRequest&, Reply& reply) {
      reply.answer(200, {{"Content-Type", "text/html"}}, "<html>log in</html>");
    });
    CHECK(site.proxy.get(manifest_path("a", "latest")).body == image_manifest("own"));
  }
}

TEST_CASE("a mirror that is down costs one request its time, and comes back by itself") {
  MirroredSite site;
  std::vector<std::string> digests;
  for (unsigned i = 0; i < 4; ++i) {
    const std::string bytes = random_bytes(1000, i + 1);
    digests.push_back(site.own.add_blob("a", bytes));
    site.first.add_blob("a", bytes);
  }
  site.first.go_down();
  CHECK(site.proxy.get(blob_path("a", digests[0])).status == 200);
  CHECK(site.proxy.get(blob_path("a", digests[1])).status == 200);
  CHECK(site.own.count("GET", "/blobs/") == 2);
  CHECK(site.proxy.metric("layover_upstream_errors_total{registry=\"r.test\",reason=\"connect\"}") == 1);
  site.first.come_back();
  // Found out beside the requests: each that comes too early is served by the others.
  REQUIRE(eventually(
      [&] {
        site.proxy.get(blob_path("a", "sha256:" + std::string(64, 'd')));
        return site.first.count("GET", "/v2/") > 0;
      },
      std::chrono::seconds(10)));
  REQUIRE(eventually([&] {
    site.proxy.get(blob_path("a", "sha256:" + std::string(64, 'd')));
    return site.first.count("GET", "/blobs/") > 0;
  }));
  const int asked = site.own.count("GET", digests[2]);
  CHECK(site.proxy.get(blob_path("a", digests[2])).status == 200);
  CHECK(site.own.count("GET", digests[2]) == asked);
}

TEST_CASE("mirrors that answer nobody leave the registry its time") {
  ScriptedUpstream hole;
  hole.go_down();
  const HeldPort held(hole.port(), HeldPort::Answer::kNone);
  ScriptedUpstream silent;
  ScriptedUpstream own;
  config::Registry registry = registry_at("r.test", own);
  registry.mirrors = {mirror_at(hole), mirror_at(silent)};
  registry.times.connect_timeout = std::chrono::seconds(1);
  registry.times.first_byte_budget = std::chrono::seconds(6);
  RunningProxy proxy(settings_with({registry}));
  Gate& never = silent.gate();
  silent.before_all([&never](const UpstreamRequest&, Reply&) {
    never.wait();
    return true;
  });
  const std::string bytes = random_bytes(200'000);
  const std::string digest = own.add_blob("a", bytes);
  CHECK(proxy.get(blob_path("a", digest)).body == bytes);
  // Both are known now.
  const std::string other = random_bytes(200'000, 2);
  const std::string next = own.add_blob("a", other);
  const int asked = silent.count("*");
  const auto begun = std::chrono::steady_clock::now();
  CHECK(proxy.get(blob_path("a", next)).body == other);
  CHECK(std::chrono::steady_clock::now() - begun < registry.times.connect_timeout);
  CHECK(silent.count("*") == asked);
}

TEST_CASE("a mirror that was passed over is asked after all where the registry fails") {
  MirroredSite site(
      [](config::Registry& registry) { registry.times.first_byte_budget = std::chrono::seconds(5); });
  const std::string bytes = random_bytes(1000);
  const std::string digest = site.first.add_blob("a", bytes);
  const std::string other = site.own.add_blob("a", "other");
  site.first.go_down();
  CHECK(site.proxy.get(blob_path("a", other)).status == 200);
  site.first.come_back();
  site.own.go_down();
  CHECK(site.proxy.get(blob_path("a", digest)).body == bytes);
}

TEST_CASE(
    "a mirror is not asked before its rate limit ends, nor for what it gave wrong, though all else fails") {
  MirroredSite site;
  const std::string digest = site.own.add_blob("a", random_bytes(100'000));
  site.own.go_down();
  site.second.on("*", blob_path("a", digest), refuse(404));
  SECTION("its rate limit") {
    site.first.on("*", blob_path("a", digest), [](const UpstreamRequest&, Reply& reply) {
      reply.answer(429, {{"Retry-After", "60"}}, "");
    });
    for (int i = 0; i < 3; ++i) CHECK(site.proxy.get(blob_path("a", digest)).status >= 500);
    CHECK(site.first.count("GET") == 1);
  }
  SECTION("what it gave wrong") {
    site.first.on("*", blob_path("a", digest), [](const UpstreamRequest&, Reply& reply) {
      reply.answer(200, {}, std::string(1000, 'x'));
    });
    for (int i = 0; i < 3; ++i) CHECK(site.proxy.get(blob_path("a", digest)).status >= 500);
    CHECK(site.first.count("GET") == 1);
  }
}

TEST_CASE("a mirror whose storage lacks one blob is asked for the others") {
  MirroredSite site;
  ScriptedUpstream storage;
  const std::string lost = site.own.add_blob("a", random_bytes(100'000, 1));
  const std::string bytes = random_bytes(100'000, 2);
  const std::string there = site.first.add_blob("a", bytes);
  site.first.on("*", blob_path("a", lost), [url = storage.url()](const UpstreamRequest&, Reply& reply) {
    reply.answer(307, {{"Location", url + "/lost"}}, "");
  });
  site.second.on("*", blob_path("a", lost), refuse(404));
  CHECK(site.proxy.get(blob_path("a", lost)).status == 200);
  CHECK(site.proxy.get(blob_path("a", there)).body == bytes);
}

TEST_CASE("where all fail, the error names them all") {
  MirroredSite site(
      [](config::Registry& registry) { registry.times.first_byte_budget = std::chrono::seconds(3); });
  site.first.go_down();
  site.second.before_all([](const UpstreamRequest&, Reply& reply) {
    reply.answer(503, {}, "");
    return true;
  });
  site.own.go_down();
  const HttpAnswer answer = site.proxy.get(blob_path("a", "sha256:" + std::string(64, 'e')));
  CHECK(answer.status == 502);
  for (const ScriptedUpstream* upstream : {&site.first, &site.second, &site.own}) {
    INFO(answer.body);
    CHECK(answer.body.find(upstream->authority()) != std::string::npos);
  }
}

TEST_CASE("a download that breaks off at a mirror goes on at the next from where it broke") {
  MirroredSite site;
  const std::string bytes = random_bytes(3'000'000);
  const std::string digest = site.second.add_blob("a", bytes);
  site.first.on("GET", blob_path("a", digest), [bytes](const UpstreamRequest&, Reply& reply) {
    reply.head(200, {{"Content-Length", std::to_string(bytes.size())}});
    reply.write(std::string_view(bytes).substr(0, 1'000'000));
    reply.close();
  });
  CHECK(site.proxy.get(blob_path("a", digest)).body == bytes);
  REQUIRE(site.second.count("GET") == 1);
  CHECK(site.second.requests().front().header("range") == "bytes=1000000-");
  CHECK(site.own.count("*") == 0);
}

TEST_CASE("a mirror that gave wrong bytes is not asked for them again, and the registry is not blamed") {
  MirroredSite site;
  const std::string bytes = random_bytes(300'000);
  const std::string digest = site.own.add_blob("a", bytes);
  std::string wrong = bytes;
  wrong[200'000] = static_cast<char>(~wrong[200'000]);
  site.first.on("GET", blob_path("a", digest),
                [wrong](const UpstreamRequest&, Reply& reply) { reply.answer(200, {}, wrong); });
  CHECK_FALSE(site.proxy.get(blob_path("a", digest)).is_complete);
  CHECK(site.proxy.get(blob_path("a", digest)).body == bytes);
  CHECK(site.first.count("GET") == 1);
  CHECK(site.proxy.metric("layover_digest_mismatches_total{registry=\"r.test\"}") == 1);
  // What is verified before it is sent is asked for at the next place at once.
  const std::string manifest = image_manifest("right");
  const std::string named = site.own.add_manifest("a", manifest);
  site.first.on("GET", manifest_path("a", named), [](const UpstreamRequest&, Reply& reply) {
    reply.answer(200, {{"Content-Type", "application/vnd.oci.image.manifest.v1+json"}},
                 image_manifest("wrong"));
  });
  CHECK(site.proxy.get(manifest_path("a", named)).body == manifest);
}

TEST_CASE("credentials go where they belong") {
  MirroredSite site([](config::Registry& registry) {
    registry.credentials = config::Credentials{.username = "own", .password = "secret"};
    registry.mirrors[1].credentials = config::Credentials{.username = "mirror", .password = "secret"};
  });
  const auto challenge = [](const UpstreamRequest& request, Reply& reply) {
    if (!request.header("authorization").empty()) return false;
    reply.answer(401, {{"WWW-Authenticate", "Basic realm=\"r\""}}, "");
    return true;
  };
  for (ScriptedUpstream* upstream : {&site.first, &site.second, &site.own}) upstream->before_all(challenge);
  const std::string digest = site.own.add_blob("a", "own");
  CHECK(site.proxy.get(blob_path("a", digest)).body == "own");
  const auto shown = [](const ScriptedUpstream& upstream) {
    std::string all;
    for (const UpstreamRequest& request : upstream.requests()) all += request.header("authorization");
    return all;
  };
  CHECK(shown(site.first).empty());
  CHECK(shown(site.second) == "Basic bWlycm9yOnNlY3JldA==");
  CHECK(shown(site.own) == "Basic b3duOnNlY3JldA==");
}

TEST_CASE("a mirror's rate limit is its own") {
  MirroredSite site;
  std::vector<std::string> digests;
  for (const char* bytes : {"one", "two"}) digests.push_back(site.own.add_blob("a", bytes));
  site.first.before_all([](const UpstreamRequest&, Reply& reply) {
    reply.answer(429, {{"Retry-After", "60"}}, "");
    return true;
  });
  CHECK(site.proxy.get(blob_path("a", digests[0])).body == "one");
  CHECK(site.proxy.get(blob_path("a", digests[1])).body == "two");
  CHECK(site.first.count("*") == 1);
}
