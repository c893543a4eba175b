// Lists of tags through a whole layover: passed through page by page, with links that lead back to it, and an
// older one while upstream cannot be asked.
#include <string>

#include "tests/support/catch.h"
#include "tests/support/running_proxy.h"

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
    reply.answer(
        200,
        {{"Link", "<http://elsewhere.example/x>; rel=\"prev\""},
         {"Link", "<https://elsewhere.example/v2/other/tags/list?next_page=t0k3n&ns=evil>; rel=next"}},
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
