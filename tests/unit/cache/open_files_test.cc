// Files that stay open for a while: only as long as they are what their name says.
#include "cache/open_files.h"

#include <fcntl.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "tests/support/catch.h"
#include "tests/support/temporary_directory.h"
#include "tests/unit/cache/cache_fixture.h"

using namespace layover;
using namespace layover::test;
using cache::OpenFiles;

namespace {

struct Fixture {
  TestLoop loop;
  TemporaryDirectory directory;
  std::unique_ptr<OpenFiles> files = std::make_unique<OpenFiles>(loop.loop());

  std::string path(const std::string& name) const { return directory.path() + "/" + name; }
  std::shared_ptr<const UniqueFd> open(const std::string& name) const {
    return std::make_shared<const UniqueFd>(::open(path(name).c_str(), O_RDONLY | O_CLOEXEC));
  }
  void keep(const std::string& name, std::uint64_t removals = 0) const {
    std::ofstream(path(name)) << "12345";
    files->keep(digest_of(name), open(name), removals);
  }
  bool has(const std::string& name, std::uint64_t removals = 0) const {
    return files->find(digest_of(name), Bytes{5}, removals) != nullptr;
  }
};

}  // namespace

TEST_CASE("a file that was read stays open for the next reader") {
  const Fixture fixture;
  fixture.keep("a");
  CHECK(fixture.has("a"));
  CHECK_FALSE(fixture.has("b"));
}

TEST_CASE("an open file that is no longer what it was is closed") {
  const Fixture fixture;
  fixture.keep("a");
  SECTION("unlinked") { std::filesystem::remove(fixture.path("a")); }
  SECTION("replaced") {
    std::ofstream(fixture.path("new")) << "54321";
    std::filesystem::rename(fixture.path("new"), fixture.path("a"));
  }
  SECTION("cut short") { std::filesystem::resize_file(fixture.path("a"), 4); }
  CHECK_FALSE(fixture.has("a"));
}

TEST_CASE("no file stays open over a removal of content, also one that was opened just before it") {
  const Fixture fixture;
  fixture.keep("a", 1);
  CHECK(fixture.has("a", 1));
  CHECK_FALSE(fixture.has("a", 2));
  fixture.keep("b", 1);
  CHECK_FALSE(fixture.has("b", 2));
}

TEST_CASE("of very many files those stay open that were used last") {
  const Fixture fixture;
  fixture.keep("first");
  for (std::size_t i = 0; i < OpenFiles::kMost - 1; ++i) fixture.keep(std::to_string(i));
  CHECK(fixture.has("first"));
  fixture.keep("last");
  CHECK(fixture.has("first"));
  CHECK(fixture.has("last"));
  CHECK_FALSE(fixture.has("0"));
}

TEST_CASE("a file that nobody asks for is closed") {
  Fixture fixture;
  fixture.keep("a");
  const std::weak_ptr<const UniqueFd> file = fixture.files->find(digest_of("a"), Bytes{5}, 0);
  CHECK(fixture.loop.run_until([&] { return file.expired(); }));
}
