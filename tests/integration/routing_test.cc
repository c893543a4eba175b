// Which registry and repository a request means, and what is refused before any upstream hears of it.
#include <string>
#include <vector>

#include <fmt/format.h>

#include "tests/support/catch.h"
#include "tests/support/running_proxy.h"
#include "tests/support/test_loop.h"

using namespace layover;
using namespace layover::test;

namespace {

struct TwoRegistries {
  ScriptedUpstream first;
  ScriptedUpstream second;
  RunningProxy proxy;

  TwoRegistries()
      : proxy(settings_with({registry_at("first.test", first), registry_at("second.test:5000", second)})) {}
};

}  // namespace

TEST_CASE("a registry is named by ns, by the path, or by default, in this order") {
  TwoRegistries site;
  const std::string first = image_manifest("first");
  const std::string second = image_manifest("second");
  site.first.add_tag("a", "v1", first);
  site.second.add_tag("a", "v1", second);
  const auto get = [&](const std::string& target) { return site.proxy.get(target); };
  CHECK(get("/v2/a/manifests/v1").body == first);
  CHECK(get("/v2/first.test/a/manifests/v1").body == first);
  CHECK(get("/v2/second.test:5000/a/manifests/v1").body == second);
  CHECK(get("/v2/second.test%3A5000/a/manifests/v1").body == second);
  CHECK(get("/v2/a/manifests/v1?ns=first.test").body == first);
  const HttpAnswer by_ns = get("/v2/a/manifests/v1?ns=second.test%3A5000");
  CHECK(by_ns.body == second);
  CHECK(by_ns.header("oci-namespace") == "second.test:5000");
  CHECK(get("/v2/a/manifests/v1?other=x&ns=SECOND.test:5000").body == second);
  CHECK_FALSE(get("/v2/a/manifests/v1").has_header("oci-namespace"));
}

TEST_CASE("one repository and tag on two registries never collide") {
  TwoRegistries site;
  const std::string first = image_manifest("first");
  const std::string second = image_manifest("second");
  site.first.add_tag("a", "v1", first);
  site.second.add_tag("a", "v1", second);
  for (int i = 0; i < 2; ++i) {
    CHECK(site.proxy.get("/v2/a/manifests/v1?ns=first.test").body == first);
    CHECK(site.proxy.get("/v2/a/manifests/v1?ns=second.test:5000").body == second);
    REQUIRE(site.proxy.settle());
  }
  site.first.go_down();
  site.second.go_down();
  CHECK(site.proxy.get("/v2/a/manifests/v1?ns=first.test").body == first);
  CHECK(site.proxy.get("/v2/a/manifests/v1?ns=second.test:5000").body == second);
}

TEST_CASE("nginx and library/nginx on Docker Hub are one entry") {
  ScriptedUpstream hub;
  RunningProxy proxy(settings_with({registry_at("docker.io", hub)}));
  const std::string bytes = random_bytes(1000);
  const std::string digest = hub.add_blob("library/nginx", bytes);
  CHECK(proxy.get(blob_path("nginx", digest)).header("x-cache") == "MISS");
  REQUIRE(proxy.settle());
  for (const char* name : {"nginx", "library/nginx", "docker.io/nginx", "index.docker.io/library/nginx"}) {
    INFO(name);
    const HttpAnswer answer = proxy.get(blob_path(name, digest));
    CHECK(answer.body == bytes);
    CHECK(answer.header("x-cache") == "HIT");
  }
  CHECK(proxy.get(blob_path("nginx", digest) + "?ns=registry-1.docker.io").header("x-cache") == "HIT");
  CHECK(hub.count("*") == 1);
}

TEST_CASE("with \"*\" enabled an unlisted public name is asked, but no address and no name of this machine") {
  ScriptedUpstream upstream;
  auto settings = settings_with({registry_at("r.test", upstream)});
  settings.others.enabled = true;
  RunningProxy proxy(std::move(settings));
  // No name ends in "invalid" (RFC 2606), so that this ends at the look-up.
  const HttpAnswer tried = proxy.get("/v2/unlisted.invalid/a/manifests/v1");
  CHECK((tried.status == 502 || tried.status == 504));
  CHECK(tried.body.find("unlisted.invalid cannot be asked") != std::string::npos);
  for (const std::string& name : {upstream.authority(), std::string("localhost"), std::string("8.8.8.8")}) {
    INFO(name);
    CHECK(proxy.get("/v2/" + name + "/a/manifests/v1").status == 403);
  }
  CHECK(upstream.connections() == 0);
  // Clients make no labels.
  const std::string series = fmt::format(
      R"(layover_http_requests_total{{registry="other",kind="manifest",method="GET",code="{}",cache="none"}})",
      tried.status);
  CHECK(eventually([&] { return proxy.metric(series) == 1; }));
}

TEST_CASE("registries that are not listed, and what only looks like one, are refused without a connection") {
  Site site;
  struct Case {
    std::string target;
    int status;
    std::string code;
  };
  const std::string digest = "sha256:" + std::string(64, 'a');
  for (const Case& one : std::vector<Case>{
           {"/v2/a/manifests/v1?ns=evil.example", 403, "DENIED"},
           {"/v2/evil.example/a/manifests/v1", 403, "DENIED"},
           {"/v2/a/manifests/v1?ns=169.254.169.254", 403, "DENIED"},
           {"/v2/a/manifests/v1?ns=127.0.0.1:" + std::to_string(site.upstream.port()), 403, "DENIED"},
           {"/v2/localhost/a/manifests/v1", 403, "DENIED"},
           {"/v2/a/manifests/v1?ns=r.test%0d%0aX-Evil:%20y", 400, "NAME_INVALID"},
           {"/v2/a/manifests/v1?ns=r.test%00", 400, "NAME_INVALID"},
           {"/v2/a/manifests/v1?ns=user@r.test", 400, "NAME_INVALID"},
           {"/v2/a/manifests/v1?ns=http://r.test", 400, "NAME_INVALID"},
           {"/v2/a/manifests/v1?ns=", 400, "NAME_INVALID"},
           {"/v2/a/manifests/v1?ns=r.test&ns=evil.example", 400, "NAME_INVALID"},
           {"/v2/A/manifests/v1", 400, "NAME_INVALID"},
           {"/v2/a/../b/manifests/v1", 400, "NAME_INVALID"},
           {"/v2/a/%2e%2e/b/manifests/v1", 400, "NAME_INVALID"},
           {"/v2/a%2fb%00/manifests/v1", 400, "NAME_INVALID"},
           {"/v2//a/manifests/v1", 400, "NAME_INVALID"},
           {"/v2/" + std::string(256, 'a') + "/manifests/v1", 400, "NAME_INVALID"},
           {"/v2/a/manifests/" + std::string(129, 't'), 404, "MANIFEST_UNKNOWN"},
           {"/v2/a/manifests/-v1", 404, "MANIFEST_UNKNOWN"},
           {"/v2/a/manifests/sha256:short", 400, "DIGEST_INVALID"},
           {"/v2/a/blobs/" + digest + "0", 400, "DIGEST_INVALID"},
           {"/v2/a/blobs/sha256:" + std::string(64, 'A'), 400, "DIGEST_INVALID"},
           {"/v2/a/blobs/md5:" + std::string(32, 'a'), 400, "DIGEST_INVALID"},
           {"/v2/a/blobs/latest", 400, "DIGEST_INVALID"},
           {"/v2/a/blobs/..%2f..%2fetc%2fpasswd", 400, "NAME_INVALID"},
           {"/v2/a/unknown/x", 404, "UNSUPPORTED"},
           {"/", 404, "UNSUPPORTED"},
           {"/v1/a", 404, "UNSUPPORTED"},
       }) {
    const HttpAnswer answer = site.proxy.get(one.target);
    INFO(one.target << " was answered with " << answer.body);
    CHECK(answer.status == one.status);
    CHECK(answer.body.find("\"" + one.code + "\"") != std::string::npos);
    CHECK(answer.header("content-type") == "application/json");
    CHECK_FALSE(answer.has_header("x-evil"));
  }
  CHECK(site.upstream.connections() == 0);
}

TEST_CASE("repositories may be called like the API's own words; names and tags may be as long as allowed") {
  Site site;
  for (const std::string& name :
       {std::string("blobs"), std::string("manifests"), std::string("tags/list"), std::string("a/blobs/b"),
        std::string("manifests/blobs/tags"), std::string("a/referrers"), std::string(255, 'a')}) {
    INFO(name);
    const std::string blob = site.upstream.add_blob(name, name);
    CHECK(site.proxy.get(blob_path(name, blob)).body == name);
    const std::string tag(128, 't');
    const std::string manifest = image_manifest(name);
    site.upstream.add_tag(name, tag, manifest);
    CHECK(site.proxy.get(manifest_path(name, tag)).body == manifest);
  }
  CHECK(site.proxy.get(blob_path("a%2fblobs%2Fb", site.upstream.add_blob("a/blobs/b", "x"))).status != 500);
}

TEST_CASE("pushes and deletes are refused before any upstream hears of them") {
  Site site;
  const std::string digest = site.upstream.add_blob("a", "content");
  for (const char* method : {"PUT", "POST", "PATCH", "DELETE", "OPTIONS"}) {
    INFO(method);
    const HttpAnswer answer =
        fetch(site.proxy.address(), method, blob_path("a", digest), {{"Content-Length", "0"}});
    CHECK(answer.status == 405);
    CHECK(answer.header("allow") == "GET, HEAD");
    CHECK(answer.body.find("UNSUPPORTED") != std::string::npos);
  }
  HttpClient pusher(site.proxy.address());
  pusher.request("POST", "/v2/a/blobs/uploads/", {{"Content-Length", "5"}});
  pusher.send("hello");
  CHECK(pusher.read_answer().status == 405);
  pusher.request("GET", "/v2/");
  CHECK(pusher.read_answer().status == 200);
  CHECK(site.upstream.connections() == 0);
}

TEST_CASE("the ping answers without upstream") {
  Site site;
  site.upstream.go_down();
  for (const char* target : {"/v2/", "/v2", "/v2/?ns=r.test"}) {
    const HttpAnswer answer = site.proxy.get(target);
    CHECK(answer.status == 200);
    CHECK(answer.body == "{}");
    CHECK(answer.header("docker-distribution-api-version") == "registry/2.0");
    CHECK(answer.header("x-request-id").size() == 16);
    CHECK(site.proxy.head(target).status == 200);
  }
}

TEST_CASE("a request that has been here before is a loop") {
  ScriptedUpstream registry;
  Site site;
  std::string seen;
  const std::string digest = site.upstream.add_blob("a", "content");
  CHECK(site.proxy.get(blob_path("a", digest), {{"CDN-Loop", "other-cache"}}).status == 200);
  seen = site.upstream.requests().back().header("cdn-loop");
  CHECK(seen.starts_with("other-cache, layover-"));
  const HttpAnswer answer = site.proxy.get(blob_path("a", digest), {{"CDN-Loop", seen}});
  CHECK(answer.status == 508);
  // It shapes a question whose answer is everybody's.
  site.upstream.forget_requests();
  CHECK(site.proxy.get(blob_path("a", digest), {{"CDN-Loop", std::string(2000, 'a')}}).status == 431);
  CHECK(site.upstream.requests().empty());
}
