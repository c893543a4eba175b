// A server that starts on files without an index takes them in behind everybody's back: neither requests
// nor its own end wait for that.
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "tests/support/catch.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/running_proxy.h"
#include "tests/support/test_loop.h"

using namespace layover;
using namespace layover::test;

namespace {

constexpr std::uintmax_t kFileBytes = std::uintmax_t{256} << 20;

/// Four files in `blobs/`, with names of digests and without an index. They take no room.
void add_unknown_files(const std::string& cache_path) {
  for (const char digit : {'0', '5', 'a', 'f'}) {
    const std::string name(64, digit);
    const std::filesystem::path folder = cache_path + "/blobs/sha256/" + name.substr(0, 2);
    std::filesystem::create_directories(folder);
    std::ofstream(folder / name).close();
    std::filesystem::resize_file(folder / name, kFileBytes);
  }
}

}  // namespace

TEST_CASE("a server that is hashing files without an entry serves, and ends without reading on") {
  const TemporaryDirectory directory;
  add_unknown_files(directory.path());
  FaultyFileSystem files;
  files.hold(Call::kReadAt);
  const ManualClock clock;
  const ScriptedUpstream upstream;
  config::Settings settings = settings_with({registry_at("r.test", upstream)});
  settings.threads = 1;  // so that the client below is told of the end by the sweep's own loop
  settings.cache.path = directory.path();
  prepare_offload();
  auto started = proxy::Server::start({.settings = std::make_shared<const config::Settings>(settings),
                                       .files = files,
                                       .clock = clock,
                                       .version = "0",
                                       .revision = "test"});
  REQUIRE(started);
  std::unique_ptr<proxy::Server> server = std::move(*started);
  REQUIRE(eventually([&] { return files.waiting(Call::kReadAt) == 1; }));
  HttpClient client(server->addresses().front());
  client.request("GET", "/v2/");
  CHECK(client.read_answer().status == 200);

  CHECK(server->stop([] { return false; }));
  std::thread ending([&server] { server.reset(); });
  CHECK(client.ends_quietly());
  files.release();
  ending.join();
  // What was under way is finished: a part of a file.
  constexpr std::uintmax_t kReadBytes = 256 << 10;  // at most, each time
  CHECK(files.calls(Call::kReadAt) * kReadBytes < kFileBytes);
  CHECK_FALSE(std::filesystem::exists(directory.path() + "/quarantine"));
}
