// Blobs through a whole layover: one download for many clients, ranges, and what a client sees when the
// upstream fails in each of the ways in which upstreams fail.
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "tests/support/catch.h"
#include "tests/support/running_proxy.h"
#include "tests/support/test_loop.h"

using namespace layover::test;

namespace {

const std::string kBytes = random_bytes(2'000'000);

/// An upstream that breaks is not asked again for long.
void give_up_soon(layover::config::Settings& settings) {
  Site::registry(settings).times.first_byte_budget = std::chrono::seconds(2);
}

HttpAnswer read_up_to(HttpClient& client, std::size_t size) {
  HttpAnswer answer = client.read_head();
  while (answer.body.size() < size && client.read_some(answer, size - answer.body.size())) {
  }
  return answer;
}

}  // namespace

TEST_CASE("50 clients at once: upstream sees one GET, all get the blob, late ones from its first byte") {
  Site site;
  const std::string digest = site.upstream.add_blob("a", kBytes);
  Gate& gate = site.upstream.gate();
  const std::string path = blob_path("a", digest);
  site.upstream.on("GET", path, pausing(kBytes, 700'000, gate));
  std::vector<std::unique_ptr<HttpClient>> clients;
  std::vector<HttpAnswer> answers;
  for (int i = 0; i < 50; ++i) {
    clients.push_back(std::make_unique<HttpClient>(site.proxy.address()));
    clients.back()->request("GET", path);
  }
  for (auto& client : clients) answers.push_back(read_up_to(*client, 700'000));
  CHECK(site.proxy.metric("layover_fill_readers") == 50);
  gate.open();
  int missed = 0;
  int joined = 0;
  for (std::size_t i = 0; i < clients.size(); ++i) {
    while (clients[i]->read_some(answers[i], SIZE_MAX)) {
    }
    CHECK(answers[i].is_complete);
    CHECK(answers[i].body == kBytes);
    missed += answers[i].header("x-cache") == "MISS" ? 1 : 0;
    joined += answers[i].header("x-cache") == "JOINED" ? 1 : 0;
  }
  CHECK(missed == 1);
  CHECK(joined == 49);
  CHECK(site.upstream.count("*", "/blobs/") == 1);
  CHECK(site.proxy.settle());
  CHECK(site.proxy.metric("layover_fills_total{result=\"committed\"}") == 1);
  CHECK(site.proxy.get(path).header("x-cache") == "HIT");
}

TEST_CASE("the first client leaves, the others finish; nobody slow holds anybody up") {
  Site site;
  const std::string digest = site.upstream.add_blob("a", kBytes);
  Gate& gate = site.upstream.gate();
  const std::string path = blob_path("a", digest);
  site.upstream.on("GET", path, pausing(kBytes, 300'000, gate));
  HttpClient first(site.proxy.address());
  first.request("GET", path);
  read_up_to(first, 1000);
  HttpClient slow(site.proxy.address());
  slow.request("GET", path);
  HttpAnswer slow_answer = read_up_to(slow, 10);
  HttpClient second(site.proxy.address());
  second.request("GET", path);
  HttpAnswer answer = read_up_to(second, 1000);
  first.reset();
  gate.open();
  while (second.read_some(answer, SIZE_MAX)) {
  }
  CHECK(answer.is_complete);
  CHECK(answer.body == kBytes);
  CHECK(site.proxy.settle());
  while (slow.read_some(slow_answer, 50'000)) {
  }
  CHECK(slow_answer.body == kBytes);
  CHECK(site.upstream.count("GET", "/blobs/") == 1);
}

TEST_CASE(
    "who has enough of a range up to the end may leave; who leaves a range with an end of its own aborts") {
  Site site;
  const std::string large = random_bytes(20'000'000);
  const std::string path = blob_path("a", site.upstream.add_blob("a", large));
  const auto [range, taken, aborts] = GENERATE(table<std::string, std::size_t, double>({
      {"bytes=0-", 1000, 0},
      {"bytes=5000000-", 1000, 0},
      {"bytes=0-18000000", 1000, 1},
  }));
  CAPTURE(range);
  CHECK(site.proxy.get(path).body == large);
  HttpClient client(site.proxy.address());
  client.request("GET", path, {{"Range", range}});
  CHECK(read_up_to(client, taken).status == 206);
  client.reset();
  REQUIRE(eventually([&] {
    return site.proxy.metric(
               R"(layover_http_requests_total{registry="r.test",kind="blob",method="GET",code="206",cache="hit"})") ==
           1;
  }));
  CHECK(site.proxy.metric("layover_client_aborts_total") == aborts);
}

TEST_CASE("the only client leaves: the download is finished or dropped, as configured") {
  const bool complete_abandoned = GENERATE(true, false);
  Site site(
      [&](layover::config::Settings& settings) { settings.cache.complete_abandoned = complete_abandoned; });
  const std::string large = random_bytes(20'000'000);
  const std::string digest = site.upstream.add_blob("a", large);
  Gate& gate = site.upstream.gate();
  const std::string path = blob_path("a", digest);
  site.upstream.on("GET", path, pausing(large, 15'000'000, gate));
  HttpClient client(site.proxy.address());
  client.request("GET", path);
  read_up_to(client, 1000);
  client.reset();
  REQUIRE(eventually([&] { return site.proxy.metric("layover_client_aborts_total") == 1; }));
  if (!complete_abandoned) {
    CHECK(eventually([&] { return site.proxy.metric("layover_fills_active") == 0; }));
    CHECK(site.proxy.metric("layover_fills_total{result=\"abandoned\"}") == 1);
  }
  gate.open();
  CHECK(site.proxy.settle());
  CHECK(site.proxy.metric("layover_fill_readers") == 0);
  CHECK(site.proxy.metric("layover_fills_total{result=\"committed\"}") == (complete_abandoned ? 1 : 0));
  CHECK(site.proxy.get(path).header("x-cache") == (complete_abandoned ? "HIT" : "MISS"));
}

TEST_CASE(
    "upstream dies at byte k, each time: an orderly short close, never an error page behind blob bytes") {
  struct Case {
    std::string what;
    std::function<void(Reply&)> die;
    bool is_sized;
  };
  for (const Case& one :
       std::vector<Case>{{"closes", [](Reply& reply) { reply.close(); }, true},
                         {"resets", [](Reply& reply) { reply.reset(); }, true},
                         {"closes in a chunk", [](Reply& reply) { reply.close(); }, false}}) {
    INFO(one.what);
    Site site(give_up_soon);
    const std::string digest = site.upstream.add_blob("a", kBytes);
    const std::string path = blob_path("a", digest);
    Gate& gate = site.upstream.gate();
    site.upstream.on("GET", path, [&](const UpstreamRequest&, Reply& reply) {
      if (one.is_sized) {
        reply.head(200, {{"Content-Length", std::to_string(kBytes.size())}});
        reply.write(std::string_view(kBytes).substr(0, 500'000));
      } else {
        reply.head(200, {{"Transfer-Encoding", "chunked"}});
        reply.chunk(std::string_view(kBytes).substr(0, 400'000));
        reply.write("186a0\r\n" + kBytes.substr(400'000, 50'000));
      }
      gate.wait();
      one.die(reply);
    });
    HttpClient client(site.proxy.address());
    client.request("GET", path);
    HttpAnswer answer = read_up_to(client, 100'000);
    gate.open();
    while (client.read_some(answer, SIZE_MAX)) {
    }
    CHECK(answer.status == 200);
    CHECK_FALSE(answer.is_complete);
    CHECK_FALSE(answer.was_reset);
    CHECK(answer.body.size() < kBytes.size());
    CHECK(kBytes.starts_with(answer.body));
    CHECK(site.proxy.settle());
    site.upstream.add_blob("a", kBytes);
    CHECK(site.proxy.get(path).body == kBytes);
  }
}

TEST_CASE("upstream fails before a byte was sent: a clean JSON error") {
  struct Case {
    std::string what;
    ScriptedUpstream::Script script;
    int status;
    std::string code;
  };
  const std::vector<Case> cases{
      {"closes at once", [](const auto&, Reply& reply) { reply.close(); }, 502, "UNAVAILABLE"},
      {"resets at once", [](const auto&, Reply& reply) { reply.reset(); }, 502, "UNAVAILABLE"},
      {"speaks no HTTP",
       [](const auto&, Reply& reply) { reply.write("220 mail.example\r\n\r\n"), reply.close(); }, 502,
       "UNAVAILABLE"},
      {"answers 500", [](const auto&, Reply& reply) { reply.answer(500, {}, "oops"); }, 502, "UNAVAILABLE"},
      {"answers 503", [](const auto&, Reply& reply) { reply.answer(503, {{"Retry-After", "7"}}, ""); }, 503,
       "UNAVAILABLE"},
      {"answers 404", [](const auto&, Reply& reply) { reply.answer(404, {}, "no"); }, 404, "BLOB_UNKNOWN"},
      {"answers 403", [](const auto&, Reply& reply) { reply.answer(403, {}, "no"); }, 403, "DENIED"},
      {"answers 401", [](const auto&, Reply& reply) { reply.answer(401, {}, "no"); }, 401, "UNAUTHORIZED"},
      {"answers 206", [](const auto&, Reply& reply) { reply.answer(206, {}, "part"); }, 502, "UNAVAILABLE"},
      {"answers 204", [](const auto&, Reply& reply) { reply.head(204, {}); }, 502, "UNAVAILABLE"},
      {"answers an HTML page with 200",
       [](const auto&, Reply& reply) {
         reply.answer(200, {{"Content-Type", "text/html"}}, "<html>log in</html>");
       },
       502, "UNAVAILABLE"},
      {"compresses",
       [](const auto&, Reply& reply) { reply.answer(200, {{"Content-Encoding", "gzip"}}, "zip"); }, 502,
       "UNAVAILABLE"},
      {"has another digest",
       [](const auto&, Reply& reply) {
         reply.answer(200, {{"Docker-Content-Digest", "sha256:" + std::string(64, 'f')}}, "x");
       },
       502, "UNAVAILABLE"},
      {"sends other bytes, small", [](const auto&, Reply& reply) { reply.answer(200, {}, "other"); }, 502,
       "UNAVAILABLE"},
      {"announces small and sends less",
       [](const auto&, Reply& reply) {
         reply.head(200, {{"Content-Length", "10"}}), reply.write("1"), reply.close();
       },
       502, "UNAVAILABLE"},
      {"answers 429, and does not want to be spared",
       [](const auto&, Reply& reply) { reply.answer(429, {{"Retry-After", "0"}}, ""); }, 429,
       "TOOMANYREQUESTS"},
  };
  Site site(give_up_soon);
  unsigned seed = 1;
  for (const Case& one : cases) {
    INFO(one.what);
    const std::string digest = site.upstream.add_blob("a", random_bytes(1000, seed++));
    const std::string path = blob_path("a", digest);
    site.upstream.on("*", path, one.script);
    const HttpAnswer answer = site.proxy.get(path);
    CHECK(answer.status == one.status);
    CHECK(answer.is_complete);
    CHECK(answer.header("content-type") == "application/json");
    CHECK(answer.body.find("\"" + one.code + "\"") != std::string::npos);
    CHECK_FALSE(answer.has_header("etag"));
    CHECK_FALSE(answer.has_header("docker-content-digest"));
    CHECK_FALSE(answer.has_header("accept-ranges"));
    if (one.status == 503) CHECK(answer.header("retry-after") == "7");
    if (one.status == 429) CHECK(answer.header("retry-after") == "0");
  }
  site.upstream.go_down();
  const HttpAnswer down = site.proxy.get(blob_path("a", "sha256:" + std::string(64, 'e')));
  CHECK(down.status == 502);
  CHECK(down.body.find("r.test") != std::string::npos);
}

TEST_CASE("upstream's 408 is not passed on: engines would repeat the request here instead of going on") {
  Site site;
  const std::string path = blob_path("a", site.upstream.add_blob("a", "content"));
  site.upstream.on("*", path, [](const UpstreamRequest&, Reply& reply) { reply.answer(408, {}, "slow"); });
  const HttpAnswer answer = site.proxy.get(path);
  CHECK(answer.status >= 500);
}

TEST_CASE("a blob whose last byte is wrong fails its clients, is not stored, and not asked for in a loop") {
  Site site;
  std::string wrong = kBytes;
  wrong.back() = static_cast<char>(wrong.back() ^ 1);
  const std::string digest = site.upstream.add_blob("a", kBytes);
  const std::string path = blob_path("a", digest);
  site.upstream.on("*", path,
                   [wrong](const UpstreamRequest&, Reply& reply) { reply.answer(200, {}, wrong); });
  const HttpAnswer answer = site.proxy.get(path);
  CHECK_FALSE(answer.is_complete);
  CHECK_FALSE(answer.was_reset);
  CHECK(answer.body.size() < kBytes.size());
  CHECK(site.proxy.settle());
  for (int i = 0; i < 5; ++i) CHECK(site.proxy.get(path).status == 502);
  CHECK(site.upstream.count("GET", digest) == 1);
  CHECK(site.proxy.metric("layover_digest_mismatches_total{registry=\"r.test\"}") == 1);
  CHECK(site.proxy.metric("layover_fills_total{result=\"mismatch\"}") == 1);
  CHECK(site.proxy.metric("layover_cache_bytes") == 0);
}

TEST_CASE("without a length upstream the blob is chunked, its end held back until it is verified") {
  std::atomic<bool> is_wrong{true};
  Site site;
  const std::string digest = site.upstream.add_blob("a", kBytes);
  const std::string path = blob_path("a", digest);
  site.upstream.on("GET", path, [&is_wrong](const UpstreamRequest&, Reply& reply) {
    reply.head(200, {{"Transfer-Encoding", "chunked"}});
    for (std::size_t at = 0; at < kBytes.size(); at += 100'000) reply.chunk(kBytes.substr(at, 100'000));
    if (is_wrong) reply.chunk("one too many");
    reply.chunk("");
  });
  const HttpAnswer wrong = site.proxy.get(path);
  CHECK(wrong.header("transfer-encoding") == "chunked");
  CHECK_FALSE(wrong.is_complete);
  CHECK(wrong.body.size() < kBytes.size() + 12);
  CHECK(site.proxy.settle());

  is_wrong = false;
  const std::string other = random_bytes(900'000, 7);
  const std::string good = site.upstream.add_blob("a", other);
  site.upstream.on("GET", blob_path("a", good), [other](const UpstreamRequest&, Reply& reply) {
    reply.head(200, {});
    reply.write(other);
    reply.close();
  });
  const HttpAnswer until_close = site.proxy.get(blob_path("a", good));
  CHECK(until_close.is_complete);
  CHECK(until_close.body == other);
  CHECK(site.proxy.settle());
  CHECK(site.proxy.get(blob_path("a", good)).header("content-length") == "900000");
}

TEST_CASE(
    "an HTTP/1.0 client, or one that wants a range, gets no chunks even where upstream gives no length") {
  Site site;
  const std::string path = blob_path("a", site.upstream.add_blob("a", kBytes));
  site.upstream.on("GET", path, [&](const UpstreamRequest&, Reply& reply) {
    reply.head(200, {});
    reply.write(kBytes);
    reply.close();
  });
  HttpClient old(site.proxy.address());
  old.send("GET " + path + " HTTP/1.0\r\n\r\n");
  const HttpAnswer whole = old.read_answer();
  CHECK_FALSE(whole.has_header("transfer-encoding"));
  CHECK(whole.body == kBytes);
  const std::string other = random_bytes(100'000, 5);
  const std::string second = blob_path("a", site.upstream.add_blob("a", other));
  site.upstream.on("GET", second, [other](const UpstreamRequest&, Reply& reply) {
    reply.head(200, {});
    reply.write(other);
    reply.close();
  });
  const HttpAnswer part = site.proxy.get(second, {{"Range", "bytes=10-19"}});
  CHECK(part.status == 206);
  CHECK(part.header("content-range") == "bytes 10-19/100000");
  CHECK(part.body == other.substr(10, 10));
}

TEST_CASE("HEAD of an uncached blob gives length and digest and downloads nothing") {
  Site site;
  const std::string digest = site.upstream.add_blob("a", kBytes);
  const HttpAnswer answer = site.proxy.head(blob_path("a", digest));
  CHECK(answer.status == 200);
  CHECK(answer.header("content-length") == std::to_string(kBytes.size()));
  CHECK(answer.header("docker-content-digest") == digest);
  CHECK(answer.header("etag") == "\"" + digest + "\"");
  CHECK(answer.header("accept-ranges") == "bytes");
  CHECK(site.upstream.count("GET") == 0);
  CHECK(site.upstream.count("HEAD") == 1);
  CHECK(site.proxy.get(blob_path("a", digest)).body == kBytes);
  CHECK(site.proxy.settle());
  CHECK(site.proxy.head(blob_path("a", digest)).header("x-cache") == "HIT");
  CHECK(site.upstream.count("*") == 2);
}

TEST_CASE("a blob that upstream answers by GET alone is still served") {
  Site site;
  const std::string path = blob_path("a", site.upstream.add_blob("a", kBytes));
  for (const int status : {404, 405}) {
    site.upstream.on("HEAD", path,
                     [status](const UpstreamRequest&, Reply& reply) { reply.answer(status, {}, ""); });
    CHECK(site.proxy.get(path).body == kBytes);
  }
}

TEST_CASE("a sha512 blob is verified by sha512 and served under it") {
  Site site;
  const std::string bytes = "abc";
  const std::string digest =
      "sha512:"
      "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd"
      "454d4423643ce80e2a9ac94fa54ca49f";
  const std::string path = blob_path("a", digest);
  site.upstream.on("*", path,
                   [bytes](const UpstreamRequest&, Reply& reply) { reply.answer(200, {}, bytes); });
  const HttpAnswer answer = site.proxy.get(path);
  CHECK(answer.status == 200);
  CHECK(answer.body == bytes);
  CHECK(answer.header("docker-content-digest") == digest);
}
