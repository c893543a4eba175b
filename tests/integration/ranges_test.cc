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
      {fmt::format("bytes=5-6,{}-", size), 206, 5, 7},
      {"bytes=0-,0-1", 200, 0, size},
      {fmt::format("bytes={}-,-0", size), 416},
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

struct Part {
  std::string type;
  std::string range;
  std::string body;

  friend bool operator==(const Part&, const Part&) = default;
};

/// Reads multipart/byteranges by its boundary alone; fails the test where it is not one.
std::vector<Part> parts_of(const HttpAnswer& answer) {
  const std::string type = answer.header("content-type");
  const std::string prefix = "multipart/byteranges; boundary=";
  REQUIRE(type.starts_with(prefix));
  const std::string delimiter = "\r\n--" + type.substr(prefix.size());
  std::string_view rest = answer.body;
  REQUIRE(rest.starts_with(delimiter));
  std::vector<Part> parts;
  for (;;) {
    rest.remove_prefix(delimiter.size());
    if (rest == "--\r\n") return parts;
    const auto head_end = rest.find("\r\n\r\n");
    const auto end = rest.find(delimiter, head_end);
    REQUIRE(end != std::string_view::npos);
    const std::string_view head = rest.substr(0, head_end + 2);
    const auto field = [&head](std::string_view name) {
      const auto begin = head.find(fmt::format("\r\n{}: ", name));
      REQUIRE(begin != std::string_view::npos);
      const std::string_view value = head.substr(begin + name.size() + 4);
      return std::string(value.substr(0, value.find("\r\n")));
    };
    parts.push_back({.type = field("Content-Type"),
                     .range = field("Content-Range"),
                     .body = std::string(rest.substr(head_end + 4, end - head_end - 4))});
    rest.remove_prefix(end);
  }
}

Part part_of(const std::string& bytes, std::size_t begin, std::size_t end) {
  return {.type = "application/octet-stream",
          .range = fmt::format("bytes {}-{}/{}", begin, end - 1, bytes.size()),
          .body = bytes.substr(begin, end - begin)};
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
    CHECK(site.proxy.get(blob_path("a", digest), {{"Range", "bytes=0-0,2-"}}).status == 416);
    CHECK(site.proxy.get(blob_path("a", digest), {{"Range", "bytes=0-0,-5"}}).status == 200);
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
  site.upstream.on("GET", path, pausing(bytes, 1000, gate));
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

TEST_CASE("several ranges come in one answer, in the order in which they were asked for") {
  for (const std::size_t size : {500'000U, 50'000U, 1'000U}) {
    Site site;
    const std::string bytes = random_bytes(size);
    const std::string digest = site.upstream.add_blob("a", bytes);
    // Touching, backwards, a suffix, and one that is behind the end.
    const std::string range = fmt::format("bytes=10-19,20-29, 5-5,,-100,{}-,0-0", size);
    for (const char* how : {"MISS", "HIT"}) {
      const HttpAnswer answer = site.proxy.get(blob_path("a", digest), {{"Range", range}});
      CHECK(answer.status == 206);
      CHECK(answer.header("x-cache") == how);
      CHECK(answer.is_complete);  // as long as Content-Length says
      CHECK(answer.header("content-length") == std::to_string(answer.body.size()));
      CHECK(answer.header("etag") == "\"" + digest + "\"");
      CHECK_FALSE(answer.has_header("content-range"));
      CHECK(parts_of(answer) == std::vector<Part>{part_of(bytes, 10, 20), part_of(bytes, 20, 30),
                                                  part_of(bytes, 5, 6), part_of(bytes, size - 100, size),
                                                  part_of(bytes, 0, 1)});
      REQUIRE(site.proxy.settle());
    }
    CHECK(site.upstream.count("*", digest) == 1);
  }
}

TEST_CASE("as many ranges as podman asks for come in one answer, more are all of the blob") {
  Site site;
  const std::string bytes = random_bytes(300'000);
  const std::string path = blob_path("a", site.upstream.add_blob("a", bytes));
  std::string range = "bytes=0-9";
  for (std::size_t i = 1; i < 1024; ++i) range += fmt::format(",{}-{}", i * 200, i * 200 + 9);
  const std::vector<Part> parts = parts_of(site.proxy.get(path, {{"Range", range}}));
  REQUIRE(parts.size() == 1024);
  CHECK(parts.back() == part_of(bytes, 1023 * 200, 1023 * 200 + 10));
  const HttpAnswer whole = site.proxy.get(path, {{"Range", range + ",5-5"}});
  CHECK(whole.status == 200);
  CHECK(whole.body == bytes);
}

TEST_CASE("each answer in parts has a boundary of its own") {
  Site site;
  const std::string path = blob_path("a", site.upstream.add_blob("a", random_bytes(1000)));
  const auto type = [&] { return site.proxy.get(path, {{"Range", "bytes=0-0,2-2"}}).header("content-type"); };
  CHECK(type() != type());
}

TEST_CASE("several ranges of a running download are sent as they arrive, but for its last byte") {
  Site site;
  const std::string bytes = random_bytes(1'000'000);
  const std::string digest = site.upstream.add_blob("a", bytes);
  const std::string path = blob_path("a", digest);
  Gate& middle = site.upstream.gate();
  Gate& end = site.upstream.gate();
  site.upstream.on("GET", path, [&](const UpstreamRequest&, Reply& reply) {
    reply.head(200, {{"Content-Length", std::to_string(bytes.size())}});
    reply.write(bytes.substr(0, 500'000));
    middle.wait();
    reply.write(bytes.substr(500'000, 499'000));
    end.wait();
    reply.write(bytes.substr(999'000));
  });
  HttpClient client(site.proxy.address());
  client.request("GET", path, {{"Range", "bytes=0-99,700000-700099,999998-"}});
  HttpAnswer answer = client.read_head();
  CHECK(answer.status == 206);
  const auto read_until = [&](const std::string& part) {
    return eventually([&] {
      if (answer.body.find(part) != std::string::npos) return true;
      client.read_some(answer, SIZE_MAX);
      return false;
    });
  };
  CHECK(read_until(bytes.substr(0, 100)));
  CHECK(eventually([&] { return middle.waiting() == 1; }));
  CHECK(answer.body.find(bytes.substr(700'000, 100)) == std::string::npos);
  middle.open();
  CHECK(read_until(bytes.substr(700'000, 100)));
  end.open();
  while (client.read_some(answer, SIZE_MAX)) {
  }
  CHECK(answer.is_complete);
  CHECK(parts_of(answer) == std::vector<Part>{part_of(bytes, 0, 100), part_of(bytes, 700'000, 700'100),
                                              part_of(bytes, 999'998, 1'000'000)});
}

TEST_CASE("of a blob whose digest is wrong no part with the last byte ends") {
  Site site;
  const std::string bytes = random_bytes(500'000);
  const std::string digest = site.upstream.add_blob("a", bytes);
  const std::string path = blob_path("a", digest);
  std::string wrong = bytes;
  wrong[1000] = static_cast<char>(wrong[1000] + 1);
  site.upstream.on("GET", path,
                   [wrong](const UpstreamRequest&, Reply& reply) { reply.answer(200, {}, wrong); });
  const HttpAnswer answer = site.proxy.get(path, {{"Range", "bytes=0-9,-1,20-29"}});
  CHECK_FALSE(answer.is_complete);
  CHECK_FALSE(answer.was_reset);
  CHECK(answer.body.find(wrong.substr(0, 10)) != std::string::npos);
  CHECK(answer.body.ends_with("499999-499999/500000\r\n\r\n"));
}

TEST_CASE("If-Range decides about several ranges as about one") {
  Site site;
  const std::string bytes = random_bytes(1000);
  const std::string digest = site.upstream.add_blob("a", bytes);
  const HeaderList range = {{"Range", "bytes=0-0,2-2"}};
  const auto get = [&](const std::string& condition) {
    HeaderList headers = range;
    headers.emplace_back("If-Range", condition);
    return site.proxy.get(blob_path("a", digest), headers);
  };
  CHECK(parts_of(get("\"" + digest + "\"")).size() == 2);
  CHECK(get("\"sha256:other\"").body == bytes);
  CHECK(get("Wed, 21 Oct 2026 07:28:00 GMT").body == bytes);
}

TEST_CASE("a Range in a HEAD, or two of them, mean nothing") {
  Site site;
  const std::string bytes = random_bytes(1000);
  const std::string path = blob_path("a", site.upstream.add_blob("a", bytes));
  for (int i = 0; i < 2; ++i) {
    // RFC 9110 14.2: ranges are defined for GET alone.
    for (const char* range : {"bytes=1-2", "bytes=1-2,4-5", "bytes=5000-"}) {
      const HttpAnswer head = site.proxy.head(path, {{"Range", range}});
      CHECK(head.status == 200);
      CHECK(head.header("content-length") == "1000");
    }
    CHECK(site.proxy.get(path, {{"Range", "bytes=1-2"}, {"Range", "bytes=4-5"}}).body == bytes);
    REQUIRE(site.proxy.settle());
  }
}
