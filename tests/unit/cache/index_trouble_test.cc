// What becomes of an index that fails while it is open: opened again, replaced by its copy, or begun anew
// with the files adopted; and the notes that a fault leaves.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>

#include "cache/index_fault.h"
#include "cache/index_recovery.h"
#include "tests/support/catch.h"
#include "tests/unit/cache/cache_fixture.h"

using namespace layover;
using namespace layover::test;
using namespace layover::cache;
using metrics::CacheResult;

namespace {

constexpr off_t kMetaPages = 8192;

std::size_t count_named(const std::string& path, std::string_view prefix) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    if (entry.path().filename().string().starts_with(prefix)) ++count;
  }
  return count;
}

std::string data_file(const CacheFixture& fixture) { return fixture.path() + "/index/data.mdb"; }

/// Zeros in place of all pages but the two first ones, in a file that may be open.
void clear_pages(const std::string& file) {
  const int fd = ::open(file.c_str(), O_RDWR);
  REQUIRE(fd >= 0);
  const off_t end = ::lseek(fd, 0, SEEK_END);
  const std::string zeros(static_cast<std::size_t>(end - kMetaPages), '\0');
  REQUIRE(::pwrite(fd, zeros.data(), zeros.size(), kMetaPages) == static_cast<ssize_t>(zeros.size()));
  ::close(fd);
}

void replace_by_garbage(const std::string& file) {
  std::ofstream(file, std::ios::binary) << std::string(32'768, 'x');
}

/// From now on LMDB cannot write its meta pages, until it is opened again: that descriptor alone is O_DSYNC.
void break_writes_of_meta_pages(const std::string& file) {
  unsigned broken = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code ignored;
    const int fd = std::stoi(entry.path().filename().string());
    if (std::filesystem::read_symlink(entry.path(), ignored) != file) continue;
    if ((::fcntl(fd, F_GETFL) & O_DSYNC) == 0) continue;
    const int read_only = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    REQUIRE(::dup2(read_only, fd) == fd);
    ::close(read_only);
    ++broken;
  }
  REQUIRE(broken == 1);
}

/// A cache with a blob in it, that one loop may read.
struct Filled {
  CacheFixture fixture;
  const std::string bytes = bytes_of(100'000);
  const oci::Digest digest = digest_of(bytes);
  std::shared_ptr<ScriptedContent> content = ScriptedContent::of(bytes);

  Filled() {
    REQUIRE(get().is_whole(bytes));
    fixture.settle();
  }
  Got get() { return fixture.get_now(CacheFixture::request(*content, digest)); }
  void copy() { REQUIRE(copy_index(fixture.cache().directory(), fixture.cache().index())); }
  void start_upkeep() {
    fixture.loop(0).call([this] {
      fixture.on_loop(0).start_index_upkeep();
      return 0;
    });
  }
  /// Without any question upstream.
  bool is_hit() {
    const auto asked = content->opens() + content->confirms();
    const Got got = get();
    return got.is_whole(bytes) && got.how == CacheResult::kHit &&
           content->opens() + content->confirms() == asked;
  }
};

}  // namespace

TEST_CASE("an index that LMDB does not go on with is opened again, with all that was durable") {
  Filled filled;
  CacheFixture& fixture = filled.fixture;
  break_writes_of_meta_pages(data_file(fixture));
  Blob second(2, 100'000);
  CHECK(fixture.get_now(CacheFixture::request(*second.content, second.digest)).is_whole(second.bytes));
  REQUIRE(eventually([&] { return fixture.fills(metrics::FillResult::kDiskError) == 1; }));
  // While it is broken it shows nothing, rather than fail who asks.
  CHECK_FALSE(
      fixture.loop(0).call([&] { return fixture.cache().index().snapshot(0).content(filled.digest); }));
  CHECK(fixture.cache().index().trouble() == IndexTrouble::kBroken);

  filled.start_upkeep();
  REQUIRE(eventually([&] { return fixture.cache().index().trouble() == IndexTrouble::kNone; }));
  CHECK(filled.is_hit());
  CHECK(count_named(fixture.path(), "index.damaged-") == 0);
  CHECK(fixture.get_now(CacheFixture::request(*second.content, second.digest)).is_whole(second.bytes));
  fixture.settle();
  CHECK(fixture.is_stored(second.digest));
  CHECK(fixture.cache().index().totals().blobs == 2);
}

TEST_CASE("damage that is found while running sets the index aside, and files are adopted") {
  Filled filled;
  CacheFixture& fixture = filled.fixture;
  clear_pages(data_file(fixture));
  const bool is_found_by_reader = GENERATE(true, false);
  if (is_found_by_reader) {
    CHECK_FALSE(fixture.grant(scope_of("a"), filled.digest));
    CHECK(fixture.cache().index().trouble() == IndexTrouble::kDamaged);
  }
  filled.start_upkeep();
  REQUIRE(eventually([&] { return count_named(fixture.path(), "index.damaged-") == 1; }));
  REQUIRE(eventually([&] { return fixture.cache().index().find(filled.digest).has_value(); }));
  CHECK(fixture.cache().index().trouble() == IndexTrouble::kNone);
  CHECK(fixture.cache().index().totals().blobs == 1);
  const Got got = filled.get();
  CHECK(got.is_whole(filled.bytes));
  CHECK(got.how == CacheResult::kRevalidated);
  CHECK(filled.content->opens() == 1);
  fixture.settle();
  CHECK(filled.is_hit());
}

TEST_CASE("damage that a writer finds costs its change, and not those that come after") {
  Filled filled;
  CacheFixture& fixture = filled.fixture;
  clear_pages(data_file(fixture));
  auto failed = fixture.loop(0).run([&] {
    std::vector<Change> changes;
    changes.emplace_back(RemoveContent{.digest = filled.digest});
    return fixture.cache().writer().write(std::move(changes));
  });
  REQUIRE_FALSE(failed);
  CHECK(failed.error().code() == ErrorCode::kCorrupt);
  filled.start_upkeep();
  REQUIRE(eventually([&] { return fixture.cache().index().trouble() == IndexTrouble::kNone; }));
  fixture.settle();  // can be written
}

TEST_CASE("the copy takes the place of a damaged index, with grants and tags") {
  Filled filled;
  CacheFixture& fixture = filled.fixture;
  filled.copy();
  SECTION("at the start") {
    fixture.close();
    SECTION("garbage") { replace_by_garbage(data_file(fixture)); }
    SECTION("empty") { std::filesystem::resize_file(data_file(fixture), 0); }
    SECTION("missing") { std::filesystem::remove_all(fixture.path() + "/index"); }
    SECTION("a directory") {
      std::filesystem::remove(data_file(fixture));
      std::filesystem::create_directory(data_file(fixture));
    }
    fixture.open();
  }
  SECTION("while running") {
    clear_pages(data_file(fixture));
    CHECK_FALSE(fixture.grant(scope_of("a"), filled.digest));
    filled.start_upkeep();
    REQUIRE(eventually([&] { return fixture.cache().index().trouble() == IndexTrouble::kNone; }));
  }
  CHECK(filled.is_hit());
  CHECK(fixture.cache().index().totals().blobs == 1);
}

TEST_CASE("a copy that is damaged too is not used") {
  Filled filled;
  CacheFixture& fixture = filled.fixture;
  filled.copy();
  fixture.close();
  replace_by_garbage(data_file(fixture));
  SECTION("no index at all") { replace_by_garbage(fixture.path() + "/index.copy"); }
  SECTION("without its pages") { clear_pages(fixture.path() + "/index.copy"); }
  fixture.open();
  CHECK_FALSE(fixture.cache().index().knows(filled.digest));
  CHECK_FALSE(std::filesystem::exists(fixture.path() + "/index.copy"));
  CHECK(filled.get().is_whole(filled.bytes));
}

TEST_CASE("an index with something in it is copied, if it has no copy, once it has been checked") {
  Filled filled;
  filled.start_upkeep();
  CHECK(eventually([&] { return std::filesystem::exists(filled.fixture.path() + "/index.copy"); }));
  CHECK(eventually([&] { return !std::filesystem::exists(filled.fixture.path() + "/index.copy.new"); }));
}

TEST_CASE("a walk reads each record, and counts those that are unsound") {
  Filled filled;
  Index& index = filled.fixture.cache().index();
  IndexWalk walk;
  for (auto more = index.check_some(walk); more && *more;) more = index.check_some(walk);
  CHECK(walk.records == 4);  // registry, repository, content, grant
  CHECK(walk.unsound == 0);
}

TEST_CASE("a closed index finds nothing, refuses to be written, and takes nothing for unknown") {
  Filled filled;
  Index& index = filled.fixture.cache().index();
  index.close();
  CHECK_FALSE(filled.fixture.grant(scope_of("a"), filled.digest));
  CHECK_FALSE(index.find(filled.digest));
  CHECK(index.knows(filled.digest));
  CHECK_FALSE(index.apply({}));
  REQUIRE(index.reopen());
  CHECK(filled.is_hit());
}

TEST_CASE("what killed the process while it used the index is not used again") {
  Filled filled;
  CacheFixture& fixture = filled.fixture;
  const std::string marker = fixture.cache().index().suspect_marker();
  fixture.close();
  std::ofstream{marker};
  fixture.open();
  CHECK(count_named(fixture.path(), "index.damaged-") == 1);
  CHECK_FALSE(std::filesystem::exists(marker));
  fixture.reopen();
  CHECK(count_named(fixture.path(), "index.damaged-") == 1);
}

TEST_CASE("a fault while the index is in use leaves a note, at other times none") {
  const TemporaryDirectory directory;
  const std::string marker = directory.path() + "/note";
  const int number = GENERATE(SIGBUS, SIGSEGV, SIGABRT);
  const bool is_in_use = GENERATE(true, false);
  const pid_t child = ::fork();
  if (child == 0) {
    {
      const FaultNote before(marker);
    }
    // Catch2's handlers, and a sanitizer's, would come after ours, and write into the report of the parent.
    ::signal(number, SIG_DFL);
    install_fault_notes();
    if (is_in_use) {
      const FaultNote note(marker);
      ::raise(number);
    }
    ::raise(number);
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(std::filesystem::exists(marker) == is_in_use);
}

TEST_CASE("the ballast is given up once, and comes back where there is room") {
  const TemporaryDirectory directory;
  FaultyFileSystem files;
  Ballast ballast(files, directory.path());
  const std::string file = directory.path() + "/ballast";
  CHECK_FALSE(ballast.release());
  ballast.restore();
  CHECK(std::filesystem::file_size(file) == kBallast.count);
  CHECK_FALSE(ballast.release());  // the disk is not full
  files.set_free_space([] { return kBallast; });
  CHECK(ballast.release());
  CHECK_FALSE(std::filesystem::exists(file));
  CHECK_FALSE(ballast.release());
  ballast.restore();
  CHECK_FALSE(std::filesystem::exists(file));
}
