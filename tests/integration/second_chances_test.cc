// What upstream does wrong once, or at one of several places: clients get the right content within their
// time.
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "cache/fill_state.h"
#include "tests/support/catch.h"
#include "tests/support/running_proxy.h"
#include "tests/support/test_loop.h"

using namespace layover;
using namespace layover::test;

namespace {

/// The registry r.test with one mirror, of which clients expect an answer within three seconds.
struct MirroredSite {
  ScriptedUpstream mirror;
  ScriptedUpstream own;
  RunningProxy proxy;

  MirroredSite() : proxy(settings_with({registry()})) {}

 private:
  config::Registry registry() const {
    config::Registry registry = registry_at("r.test", own);
    registry.mirrors = {
        {.url = {.is_tls = false, .host = "127.0.0.1", .port = mirror.port()}, .may_resolve = true}};
    registry.times.first_byte_budget = std::chrono::seconds(3);
    return registry;
  }
};

Site hurried_site() {
  return Site([](config::Settings& settings) {
    Site::registry(settings).times.first_byte_budget = std::chrono::seconds(3);
    Site::registry(settings).times.response_timeout = std::chrono::seconds(1);
  });
}

/// `first` to the first request, and then what `upstream` has for that path.
void once(ScriptedUpstream& upstream, const std::string& method, const std::string& path,
          ScriptedUpstream::Script first) {
  const auto is_over = std::make_shared<std::atomic<bool>>(false);
  upstream.before_all(
      [is_over, method, path, first = std::move(first)](const UpstreamRequest& request, Reply& reply) {
        if (request.method != method || request.path() != path || is_over->exchange(true)) return false;
        first(request, reply);
        return true;
      });
}

/// A head that announces `size` bytes, and `sent` of them; the connection stays as it is until `gate` opens.
ScriptedUpstream::Script stalling(std::string bytes, std::size_t sent, Gate& gate) {
  return [bytes = std::move(bytes), sent, &gate](const UpstreamRequest&, Reply& reply) {
    reply.head(200, {{"Content-Length", std::to_string(bytes.size())}});
    reply.write(std::string_view(bytes).substr(0, sent));
    gate.wait();
    reply.close();
  };
}

}  // namespace

TEST_CASE("small content that stalls at a mirror is brought by the registry in time") {
  MirroredSite site;
  const std::string bytes = random_bytes(5000);
  const std::string path = blob_path("a", site.own.add_blob("a", bytes));
  site.mirror.on("GET", path, stalling(bytes, 1000, site.mirror.gate()));
  CHECK(site.proxy.get(path).body == bytes);

  const std::string manifest = image_manifest("stalls");
  const std::string by_digest = manifest_path("a", site.own.add_manifest("a", manifest));
  site.mirror.on("GET", by_digest, stalling(manifest, 10, site.mirror.gate()));
  CHECK(site.proxy.get(by_digest).body == manifest);
}

TEST_CASE("small content that stalls once is asked for again in time") {
  Site site = hurried_site();
  const std::string bytes = random_bytes(5000);
  const std::string path = blob_path("a", site.upstream.add_blob("a", bytes));
  once(site.upstream, "GET", path, stalling(bytes, 1000, site.upstream.gate()));
  CHECK(site.proxy.get(path).body == bytes);
}

TEST_CASE("a list of tags that stalls at a mirror, or breaks off once, is given all the same") {
  const std::string path = "/v2/a/tags/list";
  const std::string list = R"({"name":"a","tags":["1.0","2.0"]})";
  const auto give = [list](const UpstreamRequest&, Reply& reply) {
    reply.answer(200, {{"Content-Type", "application/json"}}, list);
  };
  SECTION("a mirror stalls") {
    MirroredSite site;
    site.mirror.on("GET", path, stalling(list, 10, site.mirror.gate()));
    site.own.on("GET", path, give);
    CHECK(site.proxy.get(path).body == list);
  }
  SECTION("it breaks off once") {
    Site site = hurried_site();
    site.upstream.on("GET", path, give);
    once(site.upstream, "GET", path, [list](const UpstreamRequest&, Reply& reply) {
      reply.head(200,
                 {{"Content-Type", "application/json"}, {"Content-Length", std::to_string(list.size())}});
      reply.write(list.substr(0, 10));
      reply.close();
    });
    CHECK(site.proxy.get(path).body == list);
  }
}

TEST_CASE("a mirror that was passed over is asked in time where the registry hangs") {
  MirroredSite site;
  const std::string bytes = random_bytes(1000, 1);
  const std::string broken = blob_path("a", site.own.add_blob("a", bytes));
  site.mirror.on("GET", broken, [](const UpstreamRequest&, Reply& reply) { reply.reset(); });
  CHECK(site.proxy.get(broken).body == bytes);

  const std::string other = random_bytes(1000, 2);
  const std::string path = blob_path("a", site.mirror.add_blob("a", other));
  Gate& gate = site.own.gate();
  site.own.on("GET", path, [&gate](const UpstreamRequest&, Reply& reply) {
    gate.wait();
    reply.close();
  });
  CHECK(site.proxy.get(path).body == other);
}

TEST_CASE("a mirror's wrong bytes do not put the registry under suspicion where that brought the rest") {
  MirroredSite site;
  const auto size = GENERATE(50'000U, 300'000U);
  const std::string bytes = random_bytes(size);
  const std::string path = blob_path("a", site.own.add_blob("a", bytes));
  site.mirror.on("GET", path, [bytes](const UpstreamRequest&, Reply& reply) {
    reply.head(200, {{"Content-Length", std::to_string(bytes.size())}});
    reply.write("wrong" + bytes.substr(5, bytes.size() / 2));
    reply.close();
  });
  // Of the larger one some has been sent before it shows.
  CHECK(site.proxy.get(path).is_complete == (size <= cache::kVerifiedFirst.count));
  CHECK(site.proxy.get(path).body == bytes);
}

TEST_CASE("a mirror that is wrong about the size of small content costs another try") {
  MirroredSite site;
  const int off_by = GENERATE(-1, 1);
  const std::string bytes = random_bytes(5000);
  const std::string path = blob_path("a", site.own.add_blob("a", bytes));
  site.mirror.on("GET", path, [bytes, off_by](const UpstreamRequest&, Reply& reply) {
    reply.head(200, {{"Content-Length", std::to_string(static_cast<int>(bytes.size()) + off_by)}});
    reply.write(off_by > 0 ? std::string_view(bytes) : std::string_view(bytes).substr(0, 3000));
    reply.close();
  });
  const HttpAnswer answer = site.proxy.get(path);
  CHECK(answer.status == 200);
  CHECK(answer.body == bytes);
}

TEST_CASE("a redirect that is signed for GET alone does not hide content from a HEAD") {
  ScriptedUpstream store;
  Site site;
  const std::string bytes = random_bytes(5000);
  const std::string path = blob_path("a", site.upstream.add_blob("a", bytes));
  site.upstream.on("*", path, [&store](const UpstreamRequest&, Reply& reply) {
    reply.answer(307, {{"Location", store.url() + "/x?signature=1"}}, "");
  });
  store.on("HEAD", "/x", [](const UpstreamRequest&, Reply& reply) { reply.answer(403, {}, "<Error/>"); });
  store.on("GET", "/x", [bytes](const UpstreamRequest& request, Reply& reply) {
    const bool is_part = request.header("range") == "bytes=0-0";
    if (is_part) {
      reply.answer(206, {{"Content-Range", fmt::format("bytes 0-0/{}", bytes.size())}}, bytes.substr(0, 1));
    } else {
      reply.answer(200, {}, bytes);
    }
  });
  const HttpAnswer head = site.proxy.head(path);
  CHECK(head.status == 200);
  CHECK(head.header("content-length") == "5000");
  CHECK(site.proxy.get(path).body == bytes);
}

TEST_CASE("connections that died without a word cost one request its time, once") {
  Site site = hurried_site();
  const std::string first = blob_path("a", site.upstream.add_blob("a", random_bytes(1000, 1)));
  const std::string bytes = random_bytes(1000, 2);
  const std::string second = blob_path("a", site.upstream.add_blob("a", bytes));
  Gate& gate = site.upstream.gate();
  // Several connections, of which each has answered before it falls silent.
  thread_local bool has_answered = false;
  site.upstream.before_all([&, second](const UpstreamRequest& request, Reply& reply) {
    if (request.path() == second && has_answered) {
      gate.wait();
      reply.close();
      return true;
    }
    has_answered = true;
    return false;
  });
  std::vector<std::thread> clients;
  for (int i = 0; i < 8; ++i) clients.emplace_back([&] { site.proxy.head(first); });
  for (std::thread& client : clients) client.join();
  CHECK(site.proxy.get(second).body == bytes);
}

TEST_CASE("what is left of an answer that was over does not spoil the next one") {
  Site site = hurried_site();
  const std::string bytes = random_bytes(1000);
  const std::string path = blob_path("a", site.upstream.add_blob("a", bytes));
  site.upstream.on("HEAD", path, [bytes](const UpstreamRequest&, Reply& reply) {
    reply.head(200, {{"Content-Length", std::to_string(bytes.size())}});
  });
  thread_local bool has_answered = false;
  site.upstream.before_all([](const UpstreamRequest& request, Reply& reply) {
    if (request.method == "GET" && has_answered) {
      reply.write("<html>the body that a HEAD does not have</html>");
      reply.close();
      return true;
    }
    has_answered = true;
    return false;
  });
  CHECK(site.proxy.head(path).status == 200);
  CHECK(site.proxy.get(path).body == bytes);
}

TEST_CASE("chunked content that breaks once is whole all the same") {
  Site site = hurried_site();
  const std::string bytes = random_bytes(200'000);
  const std::string path = blob_path("a", site.upstream.add_blob("a", bytes));
  const auto give_rest = [bytes](const UpstreamRequest& request, Reply& reply) {
    const std::string range = request.header("range");
    const std::size_t begin = range.empty() ? 0 : std::stoul(range.substr(range.find('=') + 1));
    if (begin == bytes.size()) {
      reply.answer(416, {{"Content-Range", fmt::format("bytes */{}", bytes.size())}}, "");
      return;
    }
    HeaderList headers{{"Transfer-Encoding", "chunked"}};
    if (begin > 0)
      headers.emplace_back("Content-Range", fmt::format("bytes {}-{}/*", begin, bytes.size() - 1));
    reply.head(begin > 0 ? 206 : 200, headers);
    reply.chunk(std::string_view(bytes).substr(begin));
    reply.chunk("");
  };
  site.upstream.on("GET", path, give_rest);
  SECTION("after its last byte") {
    once(site.upstream, "GET", path, [bytes](const UpstreamRequest&, Reply& reply) {
      reply.head(200, {{"Transfer-Encoding", "chunked"}});
      reply.chunk(bytes);
      reply.close();
    });
  }
  SECTION("by a bad chunk that comes with the head") {
    once(site.upstream, "GET", path, [](const UpstreamRequest&, Reply& reply) {
      reply.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
      reply.close();
    });
  }
  const HttpAnswer answer = site.proxy.get(path);
  CHECK(answer.is_complete);
  CHECK(answer.body == bytes);
}

TEST_CASE("a stream that stalls beside others does not keep what it has claimed for long") {
  Site site;
  const std::string bytes = random_bytes(20'000'000);
  const std::string path = blob_path("a", site.upstream.add_blob("a", bytes));
  Gate& gate = site.upstream.gate();
  const auto asked = std::make_shared<std::atomic<int>>(0);
  site.upstream.on("GET", path, [bytes, asked, &gate](const UpstreamRequest& request, Reply& reply) {
    const std::string range = request.header("range");
    const std::size_t begin = range.empty() ? 0 : std::stoul(range.substr(range.find('=') + 1));
    const std::size_t dash = range.find('-');
    const bool is_open_ended = range.empty() || dash + 1 == range.size();
    const std::size_t end = is_open_ended ? bytes.size() : std::stoul(range.substr(dash + 1)) + 1;
    HeaderList headers{{"Content-Length", std::to_string(end - begin)}};
    if (!range.empty())
      headers.emplace_back("Content-Range", fmt::format("bytes {}-{}/{}", begin, end - 1, bytes.size()));
    reply.head(range.empty() ? 200 : 206, headers);
    // The first two: the download's, and the one that a reader far ahead makes it open.
    if (++*asked <= 2) {
      reply.write(std::string_view(bytes).substr(begin, 100'000));
      gate.wait();
      reply.close();
      return;
    }
    reply.write(std::string_view(bytes).substr(begin, end - begin));
  });
  HttpClient first(site.proxy.address());
  first.request("GET", path);
  HttpAnswer answer = first.read_head();
  const auto begun = std::chrono::steady_clock::now();
  const HttpAnswer far = site.proxy.get(path, {{"Range", "bytes=18000000-18999999"}});
  CHECK(far.body == bytes.substr(18'000'000, 1'000'000));
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(20));  // idle_timeout is 30 s
  gate.open();
  while (first.read_some(answer, 1 << 20)) {
  }
  CHECK(answer.body == bytes);
}

TEST_CASE("a Retry-After that makes no sense is not passed on") {
  Site site = hurried_site();
  const auto* value = GENERATE("soon", "-1", "100000000000000000000");
  const std::string path = blob_path("a", site.upstream.add_blob("a", "x"));
  site.upstream.on("*", path, [value](const UpstreamRequest&, Reply& reply) {
    reply.answer(503, {{"Retry-After", value}}, "");
  });
  CHECK(site.proxy.get(path).header("retry-after") == "5");
}
