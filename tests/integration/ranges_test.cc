// Ranges: the same answer on a miss, on a running download and on a hit.
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "tests/support/catch.h"
#include "tests/support/running_proxy.h"
#include "tests/support/test_loop.h"

using namespace layover::test;

namespace {

struct Case {
  std::string range;
  int status;
  std::size_t begin = 0;
  std::size_t end = 0;  // of what is served
};

std::vector<Case> cases_for(std::size_t size) {
  return {
      {"bytes=0-", 206, 0, size},
      {"bytes=0-0", 206, 0, 1},
      {"bytes=10-19", 206, 10, 20},
      {fmt::format("bytes={}-", size - 1), 206, size - 1, size},
      {fmt::format("bytes=10-{}", size * 2), 206, 10, size},
      {"bytes=-5", 206, size - 5, size},
      {fmt::format("bytes=-{}", size * 2), 206, 0, size},
      {"bytes=-0", 416},
      {fmt::format("bytes={}-", size), 416},
      {"bytes=99999999999999999999-", 416},
      {"bytes=500-0", 200, 0, size},
      {"bytes=0-1,5-6", 200, 0, size},
      {"lines=1-2", 200, 0, size},
      {"nonsense", 200, 0, size},
  };
}

void check(const HttpAnswer& answer, const Case& one, const std::string& bytes, const std::string& digest) {
  INFO(one.range << ", X-Cache " << answer.header("x-cache"));
  CHECK(answer.status == one.status);
  CHECK(answer.is_complete);
  CHECK(answer.header("etag") == "\"" + digest + "\"");
  if (one.status == 416) {
    CHECK(answer.header("content-range") == fmt::format("bytes */{}", bytes.size()));
    CHECK(answer.body.empty());
    return;
  }
  CHECK(answer.body == bytes.substr(one.begin, one.end - one.begin));
  if (one.status == 206) {
    CHECK(answer.header("content-range") ==
          fmt::format("bytes {}-{}/{}", one.begin, one.end - 1, bytes.size()));
  } else {
    CHECK_FALSE(answer.has_header("content-range"));
  }
}

}  // namespace

TEST_CASE("each range is answered alike on a miss and on a hit, of large and of small blobs") {
  // Verified before the status line, kept beside the index, or streamed.
  for (const std::size_t size : {500'000U, 50'000U, 1'000U}) {
    Site site;
    unsigned seed = 1;
    for (const Case& one : cases_for(size)) {
      const std::string bytes = random_bytes(size, seed++);
      const std::string digest = site.upstream.add_blob("a", bytes);
      const std::string path = blob_path("a", digest);
      const HttpAnswer miss = site.proxy.get(path, {{"Range", one.range}});
      check(miss, one, bytes, digest);
      CHECK(miss.header("x-cache") == "MISS");
      REQUIRE(site.proxy.settle());
      const HttpAnswer hit = site.proxy.get(path, {{"Range", one.range}});
      check(hit, one, bytes, digest);
      CHECK(hit.header("x-cache") == "HIT");
      CHECK(site.upstream.count("*", digest) == 1);
    }
  }
}

TEST_CASE("If-Range counts only where it names this very content") {
  Site site;
  const std::string bytes = random_bytes(100'000);
  const std::string digest = site.upstream.add_blob("a", bytes);
  const auto status = [&](const std::string& condition) {
    return site.proxy.get(blob_path("a", digest), {{"Range", "bytes=1-2"}, {"If-Range", condition}}).status;
  };
  CHECK(status("\"" + digest + "\"") == 206);
  CHECK(status("\"sha256:other\"") == 200);
  CHECK(status("W/\"" + digest + "\"") == 200);
  CHECK(status("Wed, 21 Oct 2026 07:28:00 GMT") == 200);
}

TEST_CASE("a blob without bytes has no range to give") {
  Site site;
  const std::string digest = site.upstream.add_blob("a", "");
  for (int i = 0; i < 2; ++i) {
    const HttpAnswer whole = site.proxy.get(blob_path("a", digest));
    CHECK(whole.status == 200);
    CHECK(whole.header("content-length") == "0");
    CHECK(whole.is_complete);
    CHECK(site.proxy.get(blob_path("a", digest), {{"Range", "bytes=0-"}}).status == 416);
    CHECK(site.proxy.settle());
  }
}

TEST_CASE("16 open-ended chunk requests on a running download cost upstream the blob once") {
  Site site;
  const std::string bytes = random_bytes(1'600'000);
  const std::string digest = site.upstream.add_blob("a", bytes);
  const std::string path = blob_path("a", digest);
  constexpr std::size_t kChunk = 100'000;
  std::vector<std::unique_ptr<HttpClient>> clients;
  for (std::size_t i = 0; i < 16; ++i) {
    clients.push_back(std::make_unique<HttpClient>(site.proxy.address()));
    clients.back()->request("GET", path, {{"Range", fmt::format("bytes={}-", i * kChunk)}});
  }
  for (std::size_t i = 0; i < 16; ++i) {
    HttpAnswer answer = clients[i]->read_head();
    CHECK(answer.status == 206);
    while (answer.body.size() < kChunk && clients[i]->read_some(answer, kChunk - answer.body.size())) {
    }
    CHECK(answer.body == bytes.substr(i * kChunk, kChunk));
  }
  clients.clear();
  CHECK(site.proxy.settle());
  CHECK(site.upstream.count("*", "/blobs/") == 1);
  CHECK(site.proxy.metric("layover_upstream_received_bytes_total{registry=\"r.test\"}") ==
        static_cast<double>(bytes.size()));
}

TEST_CASE("a range far ahead of the download gets its headers at once") {
  Site site;
  const std::string bytes = random_bytes(1'000'000);
  const std::string digest = site.upstream.add_blob("a", bytes);
  const std::string path = blob_path("a", digest);
  Gate& gate = site.upstream.gate();
  site.upstream.on("GET", path, [bytes, &gate](const UpstreamRequest&, Reply& reply) {
    reply.head(200, {{"Content-Length", std::to_string(bytes.size())}});
    reply.write(bytes.substr(0, 1000));
    gate.wait();
    reply.write(bytes.substr(1000));
  });
  HttpClient client(site.proxy.address());
  const auto begun = std::chrono::steady_clock::now();
  client.request("GET", path, {{"Range", "bytes=900000-900009"}});
  HttpAnswer answer = client.read_head();
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(5));
  CHECK(answer.status == 206);
  CHECK(eventually([&] { return gate.waiting() == 1; }));  // the rest has not come
  gate.open();
  while (client.read_some(answer, SIZE_MAX)) {
  }
  CHECK(answer.body == bytes.substr(900'000, 10));
}
