// Upstreams that contradict themselves: about sizes, ranges and rates. What is stored, and what others ask
// for, does not suffer.
#include <atomic>
#include <chrono>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "tests/support/catch.h"
#include "tests/support/running_proxy.h"
#include "tests/support/test_loop.h"

using namespace layover;
using namespace layover::test;
using namespace std::chrono_literals;

namespace {

/// Answers a request for all bytes, or for those from one on.
void answer_range(const std::string& bytes, const UpstreamRequest& request, Reply& reply) {
  const std::string range = request.header("range");
  if (range.empty()) return reply.answer(200, {{"Accept-Ranges", "bytes"}}, bytes);
  const auto begin = std::stoull(range.substr(6));
  reply.answer(206, {{"Content-Range", fmt::format("bytes {}-{}/{}", begin, bytes.size() - 1, bytes.size())}},
               std::string_view(bytes).substr(begin));
}

}  // namespace

TEST_CASE("a left-over that upstream contradicts does not keep its blob from being downloaded") {
  const std::string bytes = random_bytes(12'000'000);
  std::atomic<bool> is_wrong{true};
  Site site([](config::Settings& settings) { Site::registry(settings).times.first_byte_budget = 1s; });
  const std::string path = blob_path("a", site.upstream.add_blob("a", bytes));
  SECTION("its size was another one") {
    site.upstream.on("GET", path, [&](const UpstreamRequest& request, Reply& reply) {
      if (!is_wrong || !request.header("range").empty()) return answer_range(bytes, request, reply);
      reply.head(200, {{"Content-Length", "13000000"}, {"Accept-Ranges", "bytes"}});
      reply.write(std::string_view(bytes).substr(0, 10'000'000));
      reply.close();
    });
  }
  SECTION("its ranges are others than it says") {
    site.upstream.on("GET", path, [&](const UpstreamRequest& request, Reply& reply) {
      if (request.header("range").empty() && !is_wrong) return answer_range(bytes, request, reply);
      if (request.header("range").empty()) {
        reply.head(200, {{"Content-Length", std::to_string(bytes.size())}, {"Accept-Ranges", "bytes"}});
        reply.write(std::string_view(bytes).substr(0, 10'000'000));
        reply.close();
        return;
      }
      reply.answer(206, {{"Content-Range", fmt::format("bytes 5-{}/{}", bytes.size() - 1, bytes.size())}},
                   std::string_view(bytes).substr(5));
    });
  }
  CHECK_FALSE(site.proxy.get(path).is_complete);
  REQUIRE(site.proxy.settle());
  is_wrong = false;
  const HttpAnswer again = site.proxy.get(path);
  CHECK(again.status == 200);
  CHECK((again.body == bytes));
}

TEST_CASE("a stream that is refused beside others costs nobody else anything") {
  const std::string bytes = random_bytes(40'000'000);
  Site site;
  const std::string path = blob_path("a", site.upstream.add_blob("a", bytes));
  const std::string other = blob_path("a", site.upstream.add_blob("a", "other"));
  Gate& gate = site.upstream.gate();
  site.upstream.on("GET", path, pausing(bytes, 1'000'000, gate));
  site.upstream.before_all([](const UpstreamRequest& request, Reply& reply) {
    if (request.header("range").empty()) return false;
    reply.answer(429, {{"Retry-After", "60"}}, "");
    return true;
  });
  HttpClient first(site.proxy.address());
  first.request("GET", path);
  HttpAnswer whole = first.read_head();
  auto far = std::async(std::launch::async,
                        [&] { return site.proxy.get(path, {{"Range", "bytes=35000000-35000099"}}).body; });
  const std::string refused =
      "layover_upstream_requests_total{registry=\"r.test\",kind=\"blob\",code=\"429\"}";
  REQUIRE(eventually([&] { return site.proxy.metric(refused) == 1; }));
  CHECK(site.proxy.get(other).body == "other");
  gate.open();
  CHECK(far.get() == bytes.substr(35'000'000, 100));
  while (first.read_some(whole, 1 << 20)) {
  }
  CHECK((whole.body == bytes));
}

TEST_CASE("a HEAD with a wrong size of stored content is checked by its first byte") {
  Site site;
  const std::string bytes = random_bytes(100'000);
  const std::string digest = site.upstream.add_blob("a", bytes);
  CHECK(site.proxy.get(blob_path("a", digest)).body == bytes);
  REQUIRE(site.proxy.settle());
  site.upstream.add_blob("b", bytes);
  const std::string path = blob_path("b", digest);
  site.upstream.on("HEAD", path,
                   [](const UpstreamRequest&, Reply& reply) { reply.head(200, {{"Content-Length", "0"}}); });
  SECTION("which has the right one") {
    site.upstream.on("GET", path, [&bytes](const UpstreamRequest&, Reply& reply) {
      reply.answer(206, {{"Content-Range", fmt::format("bytes 0-0/{}", bytes.size())}}, bytes.substr(0, 1));
    });
    const HttpAnswer answer = site.proxy.get(path);
    CHECK((answer.body == bytes));
    CHECK(answer.header("x-cache") == "REVALIDATED");
  }
  SECTION("which has another one too") {
    site.upstream.on("GET", path, [](const UpstreamRequest&, Reply& reply) {
      reply.answer(206, {{"Content-Range", "bytes 0-0/7"}}, "x");
    });
    const HttpAnswer answer = site.proxy.get(path);
    CHECK(answer.status == 502);
    CHECK(answer.body.find("where what is stored has 100000") != std::string::npos);
  }
  const auto requests = site.upstream.requests();
  CHECK(requests.back().header("range") == "bytes=0-0");
}

TEST_CASE("however many read the same wrong bytes, upstream is asked again as soon as after one") {
  Site site([](config::Settings& settings) {
    settings.cache.max_object = config::Space::absolute(Bytes{1'000'000});
  });
  const std::string bytes = random_bytes(2'000'000);
  const std::string path = blob_path("a", site.upstream.add_blob("a", bytes));
  Gate& gate = site.upstream.gate();
  std::string wrong = bytes;
  wrong[1] = static_cast<char>(wrong[1] ^ 1);
  site.upstream.on("GET", path, pausing(wrong, 1'500'000, gate));
  std::vector<std::future<bool>> readers;
  for (int i = 0; i < 5; ++i) {
    readers.push_back(std::async(std::launch::async, [&] { return site.proxy.get(path).is_complete; }));
  }
  CHECK(eventually([&] { return gate.waiting() == 5; }));
  gate.open();
  for (auto& reader : readers) CHECK_FALSE(reader.get());
  const HttpAnswer later = site.proxy.get(path);
  CHECK(later.status == 502);
  INFO(later.body);
  const auto at = later.body.find("asked for it again for ");
  REQUIRE(at != std::string::npos);
  CHECK(std::stoi(later.body.substr(at + 23)) <= 10);
}
