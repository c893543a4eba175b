// Lists of tags through a whole layover: passed through page by page, with links that lead back to it, and an
// older one while upstream cannot be asked.
#include <chrono>
#include <string>

#include "tests/support/catch.h"
#include "tests/support/running_proxy.h"
#include "tests/support/test_loop.h"

using namespace layover::test;

namespace {

const std::string kList = R"({"name":"a","tags":["1","2"]} )";

/// An upstream that has a list of tags in two pages.
struct ListSite : Site {
  ListSite() {
    upstream.on("GET", "/v2/a/tags/list", [](const UpstreamRequest& request, Reply& reply) {
      if (request.query().find("last=2") != std::string::npos) {
        reply.answer(200, {{"Content-Type", "application/json"}}, R"({"name":"a","tags":["3"]})");
        return;
      }
      reply.answer(200,
                   {{"Content-Type", "application/json; charset=utf-8"},
                    {"Link", "</v2/a/tags/list?last=2&n=2>; rel=\"next\""}},
                   kList);
    });
  }
};

}  // namespace

TEST_CASE("a list of tags is upstream's own, byte for byte, with its parameters") {
  ListSite site;
  const HttpAnswer answer = site.proxy.get("/v2/a/tags/list?n=2&last=x%2By");
  CHECK(answer.status == 200);
  CHECK(answer.body == kList);
  CHECK(answer.header("content-type") == "application/json");
  CHECK(answer.header("x-cache") == "MISS");
  REQUIRE(site.upstream.requests().size() == 1);
  CHECK(site.upstream.requests().front().target == "/v2/a/tags/list?n=2&last=x%2By");
  const HttpAnswer head = site.proxy.head("/v2/a/tags/list");
  CHECK(head.status == 200);
  CHECK(head.header("content-length") == std::to_string(kList.size()));
}

TEST_CASE("the link to the next page stays on layover, however the registry was named") {
  ListSite site;
  struct Case {
    std::string asked;
    std::string link;
  };
  for (const Case& one :
       {Case{"/v2/a/tags/list?n=2", "</v2/a/tags/list?last=2&n=2>; rel=\"next\""},
        Case{"/v2/r.test/a/tags/list", "</v2/r.test/a/tags/list?last=2&n=2>; rel=\"next\""},
        Case{"/v2/a/tags/list?ns=r.test&n=2", "</v2/a/tags/list?last=2&n=2&ns=r.test>; rel=\"next\""}}) {
    INFO(one.asked);
    const HttpAnswer first = site.proxy.get(one.asked);
    CHECK(first.header("link") == one.link);
    CHECK(first.has_header("oci-namespace") == (one.asked.find("ns=") != std::string::npos));
    const std::string next = one.link.substr(1, one.link.find('>') - 1);
    const HttpAnswer second = site.proxy.get(next);
    CHECK(second.body.find("\"3\"") != std::string::npos);
    CHECK_FALSE(second.has_header("link"));
  }
}

TEST_CASE("a link may be absolute, to another host, or page by a token; only its query counts") {
  Site site;
  site.upstream.on("GET", "/v2/a/tags/list", [](const auto&, Reply& reply) {
    reply.answer(200,
                 {{"Link",
                   "<http://elsewhere.example/x?first>; rel=\"first\", "
                   "<https://elsewhere.example/v2/other/tags/list?next_page=t0k3n&ns=evil>; rel=next"}},
                 R"({"tags":null})");
  });
  CHECK(site.proxy.get("/v2/a/tags/list").header("link") ==
        "</v2/a/tags/list?next_page=t0k3n>; rel=\"next\"");
}

TEST_CASE("n=0 asks for no tags: an empty list without a link, after upstream's word that there may be one") {
  ListSite site;
  const HttpAnswer none = site.proxy.get("/v2/a/tags/list?n=0");
  CHECK(none.status == 200);
  CHECK(none.body == R"({"name":"a","tags":[]})");
  CHECK_FALSE(none.has_header("link"));
  CHECK(site.upstream.count("GET", "/v2/a/tags/list") == 1);
  CHECK(site.proxy.get("/v2/b/tags/list?n=0").status == 404);
}

TEST_CASE("in an outage the last list is served stale, page by page, also after a restart") {
  ListSite site;
  const std::string first = site.proxy.get("/v2/a/tags/list?n=2").header("link");
  CHECK(site.proxy.get("/v2/a/tags/list?n=2&last=2").status == 200);
  site.upstream.go_down();
  for (int round = 0; round < 2; ++round) {
    const HttpAnswer answer = site.proxy.get("/v2/a/tags/list?n=2");
    CHECK(answer.status == 200);
    CHECK(answer.body == kList);
    CHECK(answer.header("x-cache") == "STALE");
    CHECK(answer.header("link") == first);
    CHECK(answer.header("warning").find("layover: stale") != std::string::npos);
    CHECK(site.proxy.get("/v2/a/tags/list?n=2&last=2").header("x-cache") == "STALE");
    CHECK(site.proxy.get("/v2/a/tags/list?n=7").status == 502);
    CHECK(site.proxy.get("/v2/b/tags/list?n=2").status == 502);
    site.proxy.restart();
  }
}

TEST_CASE("a list that takes long is served stale meanwhile, its late answer counts, and nobody is down") {
  Site site([](layover::config::Settings& settings) {
    Site::registry(settings).times.confirm_timeout = std::chrono::milliseconds(200);
    Site::registry(settings).times.tag_ttl = std::chrono::minutes(1);
  });
  const std::string path = "/v2/a/tags/list";
  const auto answer_with = [&](const std::string& list, Gate* gate) {
    site.upstream.on("GET", path, [list, gate](const UpstreamRequest&, Reply& reply) {
      if (gate != nullptr) gate->wait();
      reply.answer(200, {{"Content-Type", "application/json"}}, list);
    });
  };
  answer_with(kList, nullptr);
  REQUIRE(site.proxy.get(path).body == kList);
  site.upstream.add_tag("a", "1", image_manifest());
  REQUIRE(site.proxy.get(manifest_path("a", "1")).status == 200);
  REQUIRE(site.proxy.settle());

  const std::string newer = R"({"name":"a","tags":["1","2","3"]})";
  Gate& gate = site.upstream.gate();
  answer_with(newer, &gate);
  const HttpAnswer stale = site.proxy.get(path);
  CHECK(stale.header("x-cache") == "STALE");
  CHECK(stale.body == kList);
  site.proxy.clock().advance(std::chrono::minutes(2));
  const int asked = site.upstream.count("HEAD", "/manifests/1");
  CHECK(site.proxy.get(manifest_path("a", "1")).status == 200);
  CHECK(layover::test::eventually([&] { return site.upstream.count("HEAD", "/manifests/1") == asked + 1; }));
  gate.open();
  const auto answered = R"(layover_upstream_requests_total{registry="r.test",kind="tags",code="200"})";
  REQUIRE(layover::test::eventually([&] { return site.proxy.metric(answered) == 2; }));
  site.upstream.go_down();
  CHECK(layover::test::eventually([&] { return site.proxy.get(path).body == newer; }));
}

TEST_CASE("a list that a mirror gives badly is asked for at the registry") {
  ScriptedUpstream mirror;
  ScriptedUpstream own;
  auto registry = registry_at("r.test", own);
  registry.mirrors = {
      {.url = {.is_tls = false, .host = "127.0.0.1", .port = mirror.port()}, .may_resolve = true}};
  RunningProxy proxy(settings_with({registry}));
  const std::string path = "/v2/a/tags/list";
  own.on("GET", path, [](const UpstreamRequest&, Reply& reply) { reply.answer(200, {}, kList); });
  SECTION("a page of its own") {
    mirror.on("GET", path, [](const UpstreamRequest&, Reply& reply) {
      reply.answer(200, {{"Content-Type", "text/html"}}, "<html></html>");
    });
  }
  SECTION("something else") {
    mirror.on("GET", path, [](const UpstreamRequest&, Reply& reply) { reply.answer(200, {}, "{}"); });
  }
  SECTION("half of it") {
    mirror.on("GET", path, [](const UpstreamRequest&, Reply& reply) {
      reply.head(200, {{"Content-Length", "1000"}});
      reply.write(kList);
      reply.close();
    });
  }
  for (int i = 0; i < 2; ++i) {
    const HttpAnswer answer = proxy.get(path);
    CHECK(answer.status == 200);
    CHECK(answer.body == kList);
    CHECK(answer.header("x-cache") == "MISS");
  }
  CHECK(mirror.count("GET", path) >= 1);
}

TEST_CASE("what upstream refuses is not listed in its next outage either, on any page") {
  const int status = GENERATE(401, 403, 404);
  INFO(status);
  ListSite site;
  CHECK(site.proxy.get("/v2/a/tags/list").status == 200);
  CHECK(site.proxy.get("/v2/a/tags/list?last=2").status == 200);
  site.upstream.on("GET", "/v2/a/tags/list",
                   [status](const auto&, Reply& reply) { reply.answer(status, {}, ""); });
  CHECK(site.proxy.get("/v2/a/tags/list").status == status);
  site.upstream.go_down();
  CHECK(site.proxy.get("/v2/a/tags/list").status == 502);
  CHECK(site.proxy.get("/v2/a/tags/list?last=2").status == 502);
}

TEST_CASE("what is no list of tags is not passed on") {
  Site site;
  for (const std::string& body :
       {std::string("<html></html>"), std::string("{}"), std::string("[]"), std::string()}) {
    site.upstream.on("GET", "/v2/a/tags/list",
                     [body](const auto&, Reply& reply) { reply.answer(200, {}, body); });
    const HttpAnswer answer = site.proxy.get("/v2/a/tags/list");
    CHECK(answer.status == 502);
    CHECK(answer.body.find("no list of tags") != std::string::npos);
  }
  CHECK(site.proxy.get("/v2/a/tags/list?last=" + std::string(2000, 'x')).status == 400);
}

TEST_CASE("two registries' lists of the same repository do not mix") {
  ScriptedUpstream first;
  ScriptedUpstream second;
  RunningProxy proxy(settings_with({registry_at("first.test", first), registry_at("second.test", second)}));
  first.on("GET", "/v2/a/tags/list",
           [](const auto&, Reply& reply) { reply.answer(200, {}, R"({"tags":["first"]})"); });
  second.on("GET", "/v2/a/tags/list",
            [](const auto&, Reply& reply) { reply.answer(200, {}, R"({"tags":["second"]})"); });
  for (const bool is_down : {false, true}) {
    CHECK(proxy.get("/v2/first.test/a/tags/list").body.find("first") != std::string::npos);
    CHECK(proxy.get("/v2/second.test/a/tags/list").body.find("second") != std::string::npos);
    if (is_down) break;
    first.go_down();
    second.go_down();
  }
}
