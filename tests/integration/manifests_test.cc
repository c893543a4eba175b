// Manifests through a whole layover: tags, digests, media types, outages, and answers that are not to be
// believed.
#include <atomic>
#include <string>
#include <vector>

#include "tests/support/catch.h"
#include "tests/support/running_proxy.h"
#include "tests/support/test_loop.h"

using namespace layover::test;

namespace {

const std::string kOci = "application/vnd.oci.image.manifest.v1+json";
const std::string kDocker = "application/vnd.docker.distribution.manifest.v2+json";

void expect_manifest(const HttpAnswer& answer, const std::string& bytes, const std::string& digest) {
  CHECK(answer.status == 200);
  CHECK(answer.body == bytes);
  CHECK(answer.header("docker-content-digest") == digest);
  CHECK(answer.header("etag") == "\"" + digest + "\"");
}

}  // namespace

TEST_CASE("a manifest's bytes and media type pass through untouched") {
  Site site;
  // White space, unknown fields, an order of its own.
  const std::string odd =
      "{ \"x-unknown\" : [1, 2],\n\t\"schemaVersion\":2, \"layers\":[],\r\n \"config\": {} }\n ";
  for (const std::string& type : {kOci, kDocker, std::string("application/vnd.oci.image.index.v1+json")}) {
    INFO(type);
    const std::string manifest = image_manifest(type) + "\n";
    const std::string digest = site.upstream.add_tag("a", "v1", manifest, type);
    for (const std::string& reference : {std::string("v1"), digest}) {
      const HttpAnswer answer = site.proxy.get(manifest_path("a", reference));
      expect_manifest(answer, manifest, digest);
      CHECK(answer.header("content-type") == type);
      const HttpAnswer head = site.proxy.head(manifest_path("a", reference));
      CHECK(head.status == 200);
      CHECK(head.header("content-length") == std::to_string(manifest.size()));
      CHECK(head.header("docker-content-digest") == digest);
      CHECK(head.header("content-type") == type);
    }
  }
  const std::string digest = site.upstream.add_manifest("a", odd, kOci);
  expect_manifest(site.proxy.get(manifest_path("a", digest)), odd, digest);
}

TEST_CASE("a media type with parameters, or one that says nothing, becomes the manifest's own") {
  for (const std::string& sent : {kOci + "; charset=utf-8", std::string("text/plain"),
                                  std::string("application/octet-stream"), std::string()}) {
    Site site;
    INFO(sent);
    site.upstream.add_tag("a", "v1", image_manifest(), sent);
    CHECK(site.proxy.get(manifest_path("a", "v1")).header("content-type") == kOci);
    CHECK(site.proxy.head(manifest_path("a", "v1")).header("content-type") == kOci);
  }
}

TEST_CASE("an unchanged tag costs a HEAD, a moved one a GET; digest header and body always agree") {
  Site site;
  const std::string first = image_manifest("first");
  const std::string first_digest = site.upstream.add_tag("a", "v1", first);
  expect_manifest(site.proxy.get(manifest_path("a", "v1")), first, first_digest);
  CHECK(site.proxy.settle());
  CHECK(site.upstream.count("GET", "/manifests/") == 1);
  for (int i = 0; i < 3; ++i) {
    const HttpAnswer again = site.proxy.get(manifest_path("a", "v1"));
    expect_manifest(again, first, first_digest);
    CHECK(again.header("x-cache") == "REVALIDATED");
  }
  CHECK(site.upstream.count("GET", "/manifests/") == 1);
  CHECK(site.upstream.count("HEAD") == 4);
  const std::string second = image_manifest("second");
  const std::string second_digest = site.upstream.add_tag("a", "v1", second);
  expect_manifest(site.proxy.get(manifest_path("a", "v1")), second, second_digest);
  CHECK(site.upstream.count("GET", "/manifests/") == 2);
}

TEST_CASE("a tag that moves between HEAD and GET: the client gets the one that was named") {
  Site site;
  const std::string first = image_manifest("first");
  const std::string first_digest = site.upstream.add_tag("a", "v1", first);
  const std::string second = image_manifest("second");
  // HEAD names the first; at the GET the tag is the second already, the first still there by digest.
  site.upstream.before_all([&site, second](const UpstreamRequest& request, Reply&) {
    if (request.method == "GET") site.upstream.add_tag("a", "v1", second);
    return false;
  });
  expect_manifest(site.proxy.get(manifest_path("a", "v1")), first, first_digest);
}

TEST_CASE("a manifest whose bytes are not those of its digest is a 502 and not stored") {
  Site site;
  const std::string digest = site.upstream.add_manifest("a", image_manifest("right"));
  site.upstream.on("*", manifest_path("a", digest), [](const UpstreamRequest&, Reply& reply) {
    reply.answer(200, {{"Content-Type", kOci}}, image_manifest("wrong"));
  });
  const HttpAnswer answer = site.proxy.get(manifest_path("a", digest));
  CHECK(answer.status == 502);
  CHECK(answer.is_complete);
  CHECK(site.proxy.settle());
  CHECK(site.proxy.metric("layover_cache_objects{kind=\"manifest\"}") == 0);
}

TEST_CASE("a tag whose announced digest is not that of its bytes is a 502") {
  Site site;
  site.upstream.on("*", manifest_path("a", "v1"), [](const UpstreamRequest&, Reply& reply) {
    reply.answer(200, {{"Content-Type", kOci}, {"Docker-Content-Digest", "sha256:" + std::string(64, 'd')}},
                 image_manifest());
  });
  site.upstream.on("*", manifest_path("a", "sha256:" + std::string(64, 'd')),
                   [](const UpstreamRequest&, Reply& reply) {
                     reply.answer(200, {{"Content-Type", kOci}}, image_manifest());
                   });
  CHECK(site.proxy.get(manifest_path("a", "v1")).status == 502);
}

TEST_CASE("registries with gaps: no digest header, no HEAD, no length") {
  struct Case {
    std::string what;
    ScriptedUpstream::Script script;
  };
  const std::string bytes = image_manifest("gaps");
  const std::vector<Case> cases{
      {"no digest header",
       [&](const auto&, Reply& reply) { reply.answer(200, {{"Content-Type", kOci}}, bytes); }},
      {"HEAD 405",
       [&](const UpstreamRequest& request, Reply& reply) {
         reply.answer(request.method == "HEAD" ? 405 : 200, {{"Content-Type", kOci}}, bytes);
       }},
      {"HEAD 404",
       [&](const UpstreamRequest& request, Reply& reply) {
         reply.answer(request.method == "HEAD" ? 404 : 200, {{"Content-Type", kOci}}, bytes);
       }},
      {"no length",
       [&](const UpstreamRequest& request, Reply& reply) {
         reply.head(200, {{"Content-Type", kOci}, {"Transfer-Encoding", "chunked"}});
         if (request.method == "HEAD") return;
         reply.chunk(bytes);
         reply.chunk("");
       }},
  };
  for (const Case& one : cases) {
    INFO(one.what);
    Site site;
    const std::string digest = site.upstream.add_manifest("a", bytes);
    site.upstream.on("*", manifest_path("a", "v1"), one.script);
    site.upstream.on("*", manifest_path("a", digest), one.script);
    expect_manifest(site.proxy.get(manifest_path("a", "v1")), bytes, digest);
    const HttpAnswer head = site.proxy.head(manifest_path("a", "v1"));
    CHECK(head.header("docker-content-digest") == digest);
    CHECK(head.header("content-length") == std::to_string(bytes.size()));
    expect_manifest(site.proxy.get(manifest_path("a", digest)), bytes, digest);
  }
}

TEST_CASE("what is no manifest is not taken for one") {
  struct Case {
    std::string what;
    std::string type;
    std::string body;
  };
  for (const Case& one : std::vector<Case>{
           {"a log-in page", "text/html; charset=utf-8", "<html>Please log in</html>"},
           {"a page that lies about its type", kOci, "<html>Please log in</html>"},
           {"an error document with 200", "application/json", R"({"errors":[]})"},
           {"an empty object", kOci, "{}"},
           {"nothing", kOci, ""},
       }) {
    INFO(one.what);
    Site site;
    site.upstream.on("*", manifest_path("a", "v1"), [&](const UpstreamRequest&, Reply& reply) {
      reply.answer(200, {{"Content-Type", one.type}}, one.body);
    });
    const HttpAnswer answer = site.proxy.get(manifest_path("a", "v1"));
    CHECK(answer.status == 502);
    CHECK(answer.header("content-type") == "application/json");
    CHECK(answer.body.find("log in") == std::string::npos);
    CHECK(site.proxy.settle());
    CHECK(site.proxy.metric("layover_cache_bytes") == 0);
  }
}

TEST_CASE("a manifest over the limit is refused in bounded memory, announced or endless") {
  const bool is_announced = GENERATE(true, false);
  std::atomic<bool> is_cut{false};
  Site site;
  site.upstream.on("*", manifest_path("a", "v1"), [&](const UpstreamRequest& request, Reply& reply) {
    if (is_announced) {
      reply.head(200, {{"Content-Type", kOci}, {"Content-Length", "1000000000"}});
    } else {
      reply.head(200, {{"Content-Type", kOci}});
    }
    if (request.method == "GET") {
      const std::string blank(1'000'000, ' ');
      for (int i = 0; i < 100; ++i) reply.write(blank);
      is_cut = true;
    }
    reply.close();
  });
  const HttpAnswer answer = site.proxy.get(manifest_path("a", "v1"));
  CHECK(answer.status == 502);
  REQUIRE(eventually([&] { return is_cut.load(); }));
  CHECK(site.proxy.metric("layover_upstream_received_bytes_total{registry=\"r.test\"}") < 20'000'000);
}

TEST_CASE("outages serve a known tag stale; a verdict of upstream is believed") {
  struct Case {
    std::string what;
    int status;  // 0: closes the connection
    int expected;
  };
  for (const Case& one : std::vector<Case>{{"500", 500, 200},
                                           {"502", 502, 200},
                                           {"503", 503, 200},
                                           {"429", 429, 200},
                                           {"408", 408, 200},
                                           {"a broken connection", 0, 200},
                                           {"404", 404, 404},
                                           {"401", 401, 401},
                                           {"403", 403, 403}}) {
    INFO(one.what);
    Site site;
    const std::string bytes = image_manifest();
    const std::string digest = site.upstream.add_tag("a", "v1", bytes);
    CHECK(site.proxy.get(manifest_path("a", "v1")).status == 200);
    REQUIRE(site.proxy.settle());
    site.upstream.before_all([&](const UpstreamRequest&, Reply& reply) {
      if (one.status == 0) {
        reply.close();
      } else {
        reply.answer(one.status, {}, "");
      }
      return true;
    });
    const HttpAnswer answer = site.proxy.get(manifest_path("a", "v1"));
    CHECK(answer.status == one.expected);
    if (one.expected == 200) {
      expect_manifest(answer, bytes, digest);
      CHECK(answer.header("x-cache") == "STALE");
      CHECK(answer.header("warning").starts_with("299 - \"layover: stale"));
      const HttpAnswer head = site.proxy.head(manifest_path("a", "v1"));
      CHECK(head.header("x-cache") == "STALE");
      CHECK(head.header("content-length") == std::to_string(bytes.size()));
      CHECK(site.proxy.metric("layover_stale_served_total{registry=\"r.test\"}") == 2);
      // By digest it is a plain hit: that needs no upstream.
      CHECK(site.proxy.get(manifest_path("a", digest)).header("x-cache") == "HIT");
    }
    // An unknown tag is never made up.
    CHECK(site.proxy.get(manifest_path("a", "other")).status >= 400);
  }
}

TEST_CASE("a tag that upstream has refused since is forgotten: no later outage brings it back") {
  Site site;
  const std::string digest = site.upstream.add_tag("a", "v1", image_manifest());
  const std::string path = manifest_path("a", "v1");
  CHECK(site.proxy.get(path).status == 200);
  REQUIRE(site.proxy.settle());
  const auto refuse = [&](int status) {
    for (const std::string& refused : {path, manifest_path("a", digest)}) {
      site.upstream.on("*", refused,
                       [status](const UpstreamRequest&, Reply& reply) { reply.answer(status, {}, ""); });
    }
    CHECK(site.proxy.get(path).status == status);
    site.upstream.go_down();
  };
  const auto expect_forgotten = [&] {
    CHECK(site.proxy.get(path).status == 502);
    CHECK(site.proxy.head(path).status == 502);
    site.proxy.restart();
    CHECK(site.proxy.get(path).status == 502);
  };
  SECTION("an outage alone forgets nothing") {
    site.upstream.go_down();
    CHECK(site.proxy.get(path).header("x-cache") == "STALE");
    site.proxy.restart();
    CHECK(site.proxy.get(path).header("x-cache") == "STALE");
  }
  SECTION("403: access is gone, to the manifest by its digest too") {
    refuse(403);
    expect_forgotten();
    CHECK(site.proxy.get(manifest_path("a", digest)).status == 502);
  }
  SECTION("404: the name is gone, and nothing is said of the manifest") {
    refuse(404);
    expect_forgotten();
    CHECK(site.proxy.get(manifest_path("a", digest)).header("x-cache") == "HIT");
  }
}

TEST_CASE(
    "a slow upstream holds up a known tag for confirm_timeout only, and a tag goes stale for ever at last") {
  Site site([](layover::config::Settings& settings) {
    Site::registry(settings).times.confirm_timeout = std::chrono::milliseconds(100);
  });
  site.upstream.add_tag("a", "v1", image_manifest());
  CHECK(site.proxy.get(manifest_path("a", "v1")).status == 200);
  REQUIRE(site.proxy.settle());
  Gate& gate = site.upstream.gate();
  site.upstream.before_all([&](const UpstreamRequest&, Reply& reply) {
    gate.wait();
    reply.close();
    return true;
  });
  const auto begun = std::chrono::steady_clock::now();
  CHECK(site.proxy.get(manifest_path("a", "v1")).header("x-cache") == "STALE");
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(5));
  gate.open();
  site.proxy.clock().advance(std::chrono::days(31));
  CHECK(site.proxy.get(manifest_path("a", "v1")).status == 502);
}

TEST_CASE("tags asked for by HEAD and then pulled by digest are known in an outage") {
  // What containerd does, here with two repositories that share a manifest.
  Site site;
  const std::string bytes = image_manifest();
  std::string digest;
  for (const char* repository : {"a", "b"}) digest = site.upstream.add_tag(repository, "v1", bytes);
  const auto ask = [&](const char* repository) {
    CHECK(site.proxy.head(manifest_path(repository, "v1")).status == 200);
  };
  const auto pull = [&](const char* repository) {
    CHECK(site.proxy.get(manifest_path(repository, digest)).status == 200);
    REQUIRE(site.proxy.settle());
  };
  SECTION("one after the other: the second finds the manifest stored") {
    ask("a");
    pull("a");
    ask("b");
    pull("b");
  }
  SECTION("both ask before either pulls") {
    ask("a");
    ask("b");
    pull("a");
    pull("b");
  }
  site.upstream.go_down();
  CHECK(site.proxy.get(manifest_path("a", "v1")).header("x-cache") == "STALE");
  CHECK(site.proxy.get(manifest_path("b", "v1")).header("x-cache") == "STALE");
}

TEST_CASE("an old client and an OCI client ask for one tag: each gets what it accepts") {
  Site site;
  const std::string oci = image_manifest("oci");
  const std::string docker =
      R"({"schemaVersion":2,"mediaType":")" + kDocker + R"(","config":{},"layers":[]})";
  const std::string oci_digest = site.upstream.add_manifest("a", oci, kOci);
  const std::string docker_digest = site.upstream.add_manifest("a", docker, kDocker);
  site.upstream.on("*", manifest_path("a", "v1"), [=](const UpstreamRequest& request, Reply& reply) {
    std::string accept;
    for (const auto& [name, value] : request.headers) accept += name == "Accept" ? value + "," : "";
    if (accept.find(kOci) != std::string::npos || accept.find("*/*") != std::string::npos) {
      reply.answer(200, {{"Content-Type", kOci}, {"Docker-Content-Digest", oci_digest}}, oci);
    } else if (accept.find(kDocker) != std::string::npos) {
      reply.answer(200, {{"Content-Type", kDocker}, {"Docker-Content-Digest", docker_digest}}, docker);
    } else {
      reply.answer(404, {}, "");
    }
  });
  for (int i = 0; i < 2; ++i) {
    expect_manifest(site.proxy.get(manifest_path("a", "v1"), {{"Accept", kDocker}}), docker, docker_digest);
    expect_manifest(site.proxy.get(manifest_path("a", "v1"), {{"Accept", kOci}, {"Accept", kDocker}}), oci,
                    oci_digest);
    expect_manifest(site.proxy.get(manifest_path("a", "v1")), oci, oci_digest);
    CHECK(site.proxy.get(manifest_path("a", "v1"), {{"Accept", "text/plain"}}).status == 404);
    if (i == 0) REQUIRE(site.proxy.settle());
  }
}

TEST_CASE("a manifest may be fetched by digest through blobs too, under its own proof") {
  Site site;
  const std::string bytes = image_manifest();
  const std::string digest = site.upstream.add_manifest("a", bytes);
  CHECK(site.proxy.get(manifest_path("a", digest)).status == 200);
  REQUIRE(site.proxy.settle());
  CHECK(site.proxy.get(blob_path("a", digest)).status == 404);
  site.upstream.add_blob("a", bytes);
  CHECK(site.proxy.get(blob_path("a", digest)).body == bytes);
  // One byte of it was asked for, since a HEAD's 404 alone is not believed; never the whole.
  CHECK(site.upstream.count("GET", blob_path("a", digest)) <= 1);
}
