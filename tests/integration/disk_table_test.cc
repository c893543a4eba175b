// Faults of the disk through a whole layover, by one reader, 20 readers, a range reader, for small content
// and content of unknown size: every client gets what it asked for, and the cache stores again afterwards.
#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "cache/index_ballast.h"
#include "tests/support/catch.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/running_proxy.h"
#include "tests/support/test_loop.h"

using namespace layover;
using namespace layover::test;

namespace {

const std::vector<FileFault> kFaults{
    {"the partial file cannot be made, disk full", Call::kOpen, 0, ErrorCode::kNoSpace},
    {"the partial file cannot be made, disk broken", Call::kOpen, 0, ErrorCode::kIo},
    {"the first write", Call::kWriteAt, 0, ErrorCode::kNoSpace},
    {"a later write", Call::kWriteAt, 3, ErrorCode::kNoSpace},
    {"the sync", Call::kSyncData, 0, ErrorCode::kIo},
    {"the rename", Call::kRename, 0, ErrorCode::kIo},
};

struct FaultySite {
  FaultyFileSystem files;
  ScriptedUpstream upstream;
  RunningProxy proxy;

  /// The ballast's file must not run into the fault that is meant for a download.
  explicit FaultySite(std::chrono::milliseconds first_byte_budget = std::chrono::seconds(20))
      : proxy(settings_with({registry(first_byte_budget)}), files) {
    REQUIRE(eventually([this] {
      std::error_code none_yet;
      return std::filesystem::file_size(proxy.cache_path() + "/ballast", none_yet) == cache::kBallast.count;
    }));
  }

 private:
  config::Registry registry(std::chrono::milliseconds first_byte_budget) const {
    config::Registry registry = registry_at("r.test", upstream);
    registry.times.first_byte_budget = first_byte_budget;
    return registry;
  }
};

/// The whole blob in pieces, so that it is written in several; without its size where that is not to be
/// known.
ScriptedUpstream::Script in_pieces(const std::string& bytes, bool is_size_known) {
  return [bytes, is_size_known](const UpstreamRequest& request, Reply& reply) {
    const std::string range = request.header("range");
    const std::size_t begin = range.empty() ? 0 : std::stoul(range.substr(range.find('=') + 1));
    const std::size_t dash = range.empty() ? 0 : range.find('-') + 1;
    const std::size_t end =
        range.empty() || dash == range.size() ? bytes.size() : std::stoul(range.substr(dash)) + 1;
    if (!is_size_known) reply.close();  // which is the body's end
    HeaderList headers;
    if (is_size_known) headers.emplace_back("Content-Length", std::to_string(end - begin));
    if (!range.empty()) {
      headers.emplace_back("Content-Range", "bytes " + std::to_string(begin) + "-" + std::to_string(end - 1) +
                                                "/" + std::to_string(bytes.size()));
    }
    reply.head(range.empty() ? 200 : 206, headers);
    if (request.method == "HEAD") return;
    for (std::size_t at = begin; at < end; at += 100'000)
      reply.write(std::string_view(bytes).substr(at, std::min<std::size_t>(100'000, end - at)));
  };
}

double disk_errors(const RunningProxy& proxy) {
  return proxy.metric(R"(layover_fills_total{result="disk_error"})");
}

}  // namespace

TEST_CASE("a fault of the disk costs no client a byte, and the cache stores again") {
  const std::string bytes = random_bytes(2'000'000);
  const std::string small = random_bytes(60'000, 2);
  for (const FileFault& fault : kFaults) {
    for (const std::string cell : {"one", "twenty", "range", "last bytes", "small", "no size"}) {
      INFO(fault.what << ", " << cell);
      FaultySite site;
      const std::string& wanted = cell == "small" ? small : bytes;
      const std::string digest = site.upstream.add_blob("a", wanted);
      const std::string path = blob_path("a", digest);
      site.upstream.on("GET", path, in_pieces(wanted, cell != "no size"));
      site.files.fail(fault);

      HeaderList headers;
      std::string expected = wanted;
      if (cell == "range") {
        headers.emplace_back("Range", "bytes=900000-1499999");
        expected = wanted.substr(900'000, 600'000);
      }
      if (cell == "last bytes") {
        headers.emplace_back("Range", "bytes=-1000");
        expected = wanted.substr(wanted.size() - 1000);
      }
      std::vector<std::unique_ptr<HttpClient>> clients;
      for (int i = 0; i < (cell == "twenty" ? 20 : 1); ++i) {
        clients.push_back(std::make_unique<HttpClient>(site.proxy.address()));
        clients.back()->request("GET", path, headers);
      }
      for (auto& client : clients) {
        const HttpAnswer answer = client->read_answer();
        CHECK(answer.status == (headers.empty() ? 200 : 206));
        CHECK(answer.is_complete);
        CHECK((answer.body == expected));
        if (fault.call == Call::kOpen && clients.size() == 1) CHECK(answer.header("x-cache") == "BYPASS");
      }
      REQUIRE(site.proxy.settle());
      const bool has_failed = site.files.has_failed(fault.call);
      CHECK((has_failed || cell == "small"));  // which is written at once
      // Of 20, one that comes after the fault may have started a download that works.
      CHECK(disk_errors(site.proxy) == (has_failed ? 1 : 0));
      if (clients.size() == 1) CHECK(site.proxy.metric("layover_cache_degraded") == (has_failed ? 1 : 0));

      site.files.heal();
      CHECK((site.proxy.get(path).body == wanted));
      REQUIRE(site.proxy.settle());
      CHECK(site.proxy.metric("layover_cache_degraded") == 0);
      CHECK(site.proxy.get(path).header("x-cache") == "HIT");
    }
  }
}

TEST_CASE("who waits for small content that the disk does not take waits no longer than its budget") {
  FaultySite site(std::chrono::seconds(1));
  const std::string bytes = random_bytes(60'000);
  const std::string path = blob_path("a", site.upstream.add_blob("a", bytes));
  Gate& gate = site.upstream.gate();
  site.upstream.on("GET", path, pausing(bytes, 1000, gate));
  site.files.fail({"the partial file cannot be made", Call::kOpen, 0, ErrorCode::kNoSpace});
  const auto begun = std::chrono::steady_clock::now();
  CHECK(site.proxy.get(path).status == 504);
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(12));
  gate.open();
}

TEST_CASE("a manifest is served by tag and by digest though it cannot be stored") {
  FaultySite site;
  const std::string bytes = image_manifest();
  const std::string digest = site.upstream.add_tag("a", "1.0", bytes);
  for (const std::string& path : {manifest_path("a", "1.0"), manifest_path("a", digest)}) {
    INFO(path);
    site.files.fail(Call::kOpen, 0, ErrorCode::kNoSpace);
    const HttpAnswer answer = site.proxy.get(path);
    CHECK(answer.status == 200);
    CHECK(answer.body == bytes);
    CHECK(answer.header("docker-content-digest") == digest);
    CHECK(answer.header("x-cache") == "BYPASS");
    CHECK(site.proxy.metric("layover_cache_degraded") == 1);
    CHECK(site.proxy.metric(R"(layover_saved_bytes_total{registry="r.test"})") == 0);
  }
  CHECK(site.proxy.get(manifest_path("a", digest)).body == bytes);
  REQUIRE(site.proxy.settle());
  CHECK(site.proxy.metric("layover_cache_degraded") == 0);
}

TEST_CASE("a blob over max_object is passed on in one request upstream, the next time too") {
  Site site([](layover::config::Settings& settings) {
    settings.cache.max_object = layover::config::Space::absolute(layover::Bytes{1'000'000});
  });
  const std::string bytes = random_bytes(1'000'001);
  const std::string path = blob_path("a", site.upstream.add_blob("a", bytes));
  for (int i = 1; i <= 2; ++i) {
    const HttpAnswer answer = site.proxy.get(path);
    CHECK((answer.body == bytes));
    CHECK(answer.header("x-cache") == "BYPASS");
    CHECK(site.upstream.requests().size() == static_cast<std::size_t>(i));
  }
  REQUIRE(site.proxy.settle());
  CHECK(site.proxy.metric(R"(layover_fills_total{result="abandoned"})") == 2);
  CHECK(disk_errors(site.proxy) == 0);
  CHECK(site.proxy.metric("layover_cache_degraded") == 0);
  CHECK(site.proxy.metric(R"(layover_saved_bytes_total{registry="r.test"})") == 0);

  // A request upstream for each part, and for some of them the whole blob, would cost more than all of it.
  site.upstream.forget_requests();
  std::string range = "bytes=-1";
  for (int i = 2; i <= 1000; ++i) range += ",-" + std::to_string(i);
  const HttpAnswer parts = site.proxy.get(path, {{"Range", range}});
  CHECK(parts.status == 200);
  CHECK((parts.body == bytes));
  CHECK(site.upstream.requests().size() == 1);
}
