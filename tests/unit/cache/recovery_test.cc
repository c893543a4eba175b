// What a start makes of what the last run left: a damaged index, files without an entry, entries without
// a file.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "cache/index_recovery.h"
#include "tests/support/catch.h"
#include "tests/unit/cache/cache_fixture.h"

using namespace layover;
using namespace layover::test;
using cache::ContentKind;
using metrics::CacheResult;

namespace {

/// Names of entries of the cache directory that begin with `prefix`.
std::size_t count_named(const std::string& path, std::string_view prefix) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    if (entry.path().filename().string().starts_with(prefix)) ++count;
  }
  return count;
}

void overwrite(const std::string& path, std::size_t bytes) {
  std::ofstream(path, std::ios::binary) << std::string(bytes, 'x');
}

void sweep(CacheFixture& fixture, const oci::Digest& last) {
  fixture.loop(0).call([&] {
    fixture.on_loop(0).start_sweep();
    return 0;
  });
  REQUIRE(eventually([&] { return fixture.cache().index().knows(last); }));
}

}  // namespace

TEST_CASE("stored content and its grants are there after a restart, without upstream") {
  CacheFixture fixture;
  const std::string bytes = bytes_of(100'000);
  const auto digest = digest_of(bytes);
  auto content = ScriptedContent::of(bytes);
  REQUIRE(fixture.get_now(fixture.request(*content, digest)).is_whole(bytes));
  fixture.settle();
  fixture.reopen();
  content->refuse_open(outage());
  content->refuse_confirm(outage());
  const Got got = fixture.get_now(fixture.request(*content, digest));
  CHECK(got.is_whole(bytes));
  CHECK(got.how == CacheResult::kHit);
  CHECK(content->opens() == 1);
  CHECK(content->confirms() == 0);
}

TEST_CASE("a damaged index is set aside; its files are adopted with their origins and without grants") {
  CacheFixture fixture;
  const std::string bytes = bytes_of(100'000);
  const auto digest = digest_of(bytes);
  auto content = ScriptedContent::of(bytes);
  REQUIRE(fixture.get_now(fixture.request(*content, digest)).is_whole(bytes));
  fixture.settle();
  fixture.close();
  overwrite(fixture.path() + "/index/data.mdb", 32'768);
  fixture.open();
  CHECK(count_named(fixture.path(), "index.damaged-") == 1);
  CHECK_FALSE(fixture.cache().index().knows(digest));
  sweep(fixture, digest);
  CHECK(fixture.cache().index().totals().bytes == bytes.size());
  CHECK_FALSE(fixture.grant(scope_of("a"), digest));

  SECTION("the registry that delivered it is asked by HEAD alone") {
    const Got got = fixture.get_now(fixture.request(*content, digest));
    CHECK(got.is_whole(bytes));
    CHECK(got.how == CacheResult::kRevalidated);
    CHECK(content->confirms() == 1);
    CHECK(content->opens() == 1);
    fixture.settle();
    CHECK(fixture.grant(scope_of("a"), digest));
  }
  SECTION("nobody reads it while upstream refuses, or cannot be asked") {
    for (const Error& error :
         {refusal(404, ErrorCode::kNotFound), refusal(401, ErrorCode::kUnauthorized), outage()}) {
      content->refuse_confirm(error);
      const Got got = fixture.get_now(fixture.request(*content, digest));
      REQUIRE(got.failure);
      CHECK(got.failure->code() == error.code());
      CHECK(got.bytes.empty());
    }
  }
  SECTION("another registry must deliver it itself") {
    auto other = ScriptedContent::of(bytes);
    const Got got = fixture.get_now(fixture.request(*other, digest, scope_of("a", "other.example")));
    CHECK(got.is_whole(bytes));
    CHECK(got.how == CacheResult::kMiss);
    CHECK(other->opens() == 1);
  }
}

TEST_CASE("a copy of the index that cannot be opened for lack of a descriptor is there for the next start") {
  CacheFixture fixture;
  const Blob blob(1);
  REQUIRE(fixture.get_now(fixture.request(*blob.content, blob.digest)).is_whole(blob.bytes));
  fixture.settle();
  fixture.close();
  auto directory = cache::Directory::open(fixture.files, fixture.path());
  REQUIRE(directory.has_value());
  std::filesystem::copy_file(fixture.path() + "/index/data.mdb", (*directory)->index_copy());
  overwrite(fixture.path() + "/index/data.mdb", 32'768);
  cache::Ballast ballast(fixture.files, fixture.path());

  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  // One is enough for the marker of the start and for finding out about the damage, not for the copy.
  const auto next = static_cast<rlim_t>(UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)).get());
  bool has_failed = false;
  for (rlim_t more = 1; more <= 3; ++more) {
    const rlimit few{.rlim_cur = next + more, .rlim_max = before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
    const auto opened = cache::open_index(**directory, ballast, 1);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    has_failed = has_failed || !opened;
    if (opened) break;
  }
  CHECK(has_failed);
  directory->reset();
  fixture.open();
  CHECK(fixture.cache().index().knows(blob.digest));
  CHECK(fixture.grant(scope_of("a"), blob.digest));
}

TEST_CASE("a file keeps the names of all registries that delivered it") {
  CacheFixture fixture;
  const std::string bytes = bytes_of(50'000);
  const auto digest = digest_of(bytes);
  auto content = ScriptedContent::of(bytes);
  for (const char* registry : {"r.example", "other.example"}) {
    REQUIRE(fixture.get_now(fixture.request(*content, digest, scope_of("a", registry))).is_whole(bytes));
    fixture.settle();
  }
  std::string value(100, '\0');
  const auto n = ::getxattr(fixture.cache().directory().blob_file(digest).c_str(), cache::kOriginAttribute,
                            value.data(), value.size());
  if (n < 0) return;  // this file system has no attributes
  value.resize(static_cast<std::size_t>(n));
  CHECK(value == "r.example\nother.example\n");
}

TEST_CASE("what a lost index does not know is not downloaded again, however soon it is asked for") {
  CacheFixture fixture;
  std::vector<Blob> blobs;
  for (unsigned i = 0; i < 200; ++i) blobs.emplace_back(i + 1, 20'000);
  for (Blob& blob : blobs)
    REQUIRE(fixture.get_now(CacheFixture::request(*blob.content, blob.digest)).is_whole(blob.bytes));
  fixture.settle();
  fixture.close();
  std::filesystem::remove_all(fixture.path() + "/index");
  fixture.open();
  fixture.loop(0).call([&] {
    fixture.on_loop(0).start_sweep();
    return 0;
  });
  std::ranges::reverse(blobs);
  for (Blob& blob : blobs) {
    const Got got = fixture.get_now(CacheFixture::request(*blob.content, blob.digest));
    CHECK(got.is_whole(blob.bytes));
    CHECK(got.how == CacheResult::kRevalidated);
    CHECK(blob.content->opens() == 1);
  }
}

TEST_CASE("a pipe in a stored file's place stops nobody, and the blob is downloaded again") {
  CacheFixture fixture;
  Blob blob(1, 100'000);
  REQUIRE(fixture.get_now(CacheFixture::request(*blob.content, blob.digest)).is_whole(blob.bytes));
  fixture.settle();
  fixture.reopen();
  const std::string file = fixture.cache().directory().blob_file(blob.digest);
  std::filesystem::remove(file);
  REQUIRE(::mkfifo(file.c_str(), 0600) == 0);
  CHECK(fixture.get_now(CacheFixture::request(*blob.content, blob.digest)).is_whole(blob.bytes));
  fixture.settle();
  CHECK(std::filesystem::is_regular_file(file));
}

TEST_CASE("folders that somebody removes while layover runs are made again") {
  CacheFixture fixture;
  Blob first(1, 100'000);
  std::filesystem::remove_all(fixture.path() + "/fills");
  CHECK(fixture.get_now(CacheFixture::request(*first.content, first.digest)).is_whole(first.bytes));
  fixture.settle();
  CHECK(fixture.is_stored(first.digest));
  Blob second(2, 100'000);
  std::filesystem::remove_all(fixture.cache().directory().blob_folder(second.digest));
  CHECK(fixture.get_now(CacheFixture::request(*second.content, second.digest)).is_whole(second.bytes));
  fixture.settle();
  CHECK(fixture.is_stored(second.digest));
}

TEST_CASE("a start needs neither room for the lock's text nor a marker that is a file") {
  CacheFixture fixture;
  fixture.close();
  SECTION("no room") { fixture.files.fail(Call::kWriteAt, 0, ErrorCode::kNoSpace); }
  SECTION("no inode for the marker") { fixture.files.fail(Call::kOpen, 1, ErrorCode::kNoSpace); }
  SECTION("a folder in the marker's place") {
    std::filesystem::create_directory(fixture.path() + "/index.opening");
  }
  fixture.open();
  const Blob blob(1);
  CHECK(fixture.get_now(CacheFixture::request(*blob.content, blob.digest)).is_whole(blob.bytes));
}

TEST_CASE("manifests are adopted as manifests, and foreign files not at all") {
  CacheFixture fixture;
  const std::string manifest =
      R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]})";
  const std::string blob = bytes_of(1000);
  for (const std::string& bytes : {manifest, blob}) {
    std::ofstream(fixture.cache().directory().blob_file(digest_of(bytes)), std::ios::binary) << bytes;
  }
  overwrite(fixture.path() + "/blobs/sha256/ff/not-a-digest", 10);
  // Adopted folder by folder: the later of the two digests comes last.
  sweep(fixture, std::max(digest_of(manifest), digest_of(blob)));
  REQUIRE(eventually([&] { return fixture.cache().index().totals().manifests == 1; }));
  CHECK(fixture.cache().index().totals().blobs == 1);
  CHECK(fixture.cache().index().totals().bytes == manifest.size() + blob.size());
}

TEST_CASE("two starts in a row that died while they opened the index condemn it, one does not") {
  CacheFixture fixture;
  const std::string bytes = bytes_of(1000);
  auto content = ScriptedContent::of(bytes);
  REQUIRE(fixture.get_now(fixture.request(*content, digest_of(bytes))).is_whole(bytes));
  fixture.settle();
  const std::string marker = fixture.cache().directory().opening_marker();
  CHECK_FALSE(std::filesystem::exists(marker));
  fixture.close();
  overwrite(marker, 1);
  fixture.open();
  CHECK(count_named(fixture.path(), "index.damaged-") == 0);
  CHECK(fixture.cache().index().knows(digest_of(bytes)));
  CHECK_FALSE(std::filesystem::exists(marker));
  fixture.close();
  overwrite(marker, 2);
  fixture.open();
  CHECK(count_named(fixture.path(), "index.damaged-") == 1);
  CHECK_FALSE(std::filesystem::exists(marker));
  CHECK_FALSE(fixture.cache().index().knows(digest_of(bytes)));
}

TEST_CASE("each start that leaves its mark on the index's opening counts: the third opens a new one") {
  CacheFixture fixture;
  const std::string bytes = bytes_of(1000);
  auto content = ScriptedContent::of(bytes);
  REQUIRE(fixture.get_now(fixture.request(*content, digest_of(bytes))).is_whole(bytes));
  fixture.settle();
  const std::string marker = fixture.cache().directory().opening_marker();
  for (const std::uintmax_t deaths : {1U, 2U}) {
    fixture.close();
    fixture.files.fail(Call::kRemove, 0, ErrorCode::kIo);  // as if it died just before
    fixture.open();
    REQUIRE(fixture.files.has_failed(Call::kRemove));
    CHECK(std::filesystem::file_size(marker) == deaths);
    CHECK(fixture.cache().index().knows(digest_of(bytes)));
  }
  fixture.reopen();
  CHECK(count_named(fixture.path(), "index.damaged-") == 1);
  CHECK_FALSE(std::filesystem::exists(marker));
  CHECK_FALSE(fixture.cache().index().knows(digest_of(bytes)));
}

TEST_CASE("a file whose bytes are not what its name says is not adopted but put aside") {
  CacheFixture fixture;
  const std::string good = bytes_of(100'000);
  const std::string damaged = bytes_of(100'000, 2);
  const auto& directory = fixture.cache().directory();
  std::ofstream(directory.blob_file(digest_of(good)), std::ios::binary) << good;
  std::ofstream(directory.blob_file(digest_of(damaged)), std::ios::binary) << damaged.substr(1) << "x";
  sweep(fixture, digest_of(good));
  REQUIRE(eventually([&] { return !std::filesystem::exists(directory.blob_file(digest_of(damaged))); }));
  CHECK(entries_in(fixture.path() + "/quarantine") == 1);
  fixture.settle();
  CHECK_FALSE(fixture.cache().index().knows(digest_of(damaged)));
  CHECK(fixture.cache().index().totals().blobs == 1);
}

TEST_CASE("a stored file that is gone, or has another size, is downloaded again") {
  const bool is_gone = GENERATE(true, false);
  CacheFixture fixture;
  const std::string bytes = bytes_of(100'000);
  const auto digest = digest_of(bytes);
  auto content = ScriptedContent::of(bytes);
  REQUIRE(fixture.get_now(fixture.request(*content, digest)).is_whole(bytes));
  fixture.settle();
  const std::string file = fixture.cache().directory().blob_file(digest);
  if (is_gone) {
    std::filesystem::remove(file);
  } else {
    std::filesystem::resize_file(file, 99'999);
  }
  const Got got = fixture.get_now(fixture.request(*content, digest));
  CHECK(got.is_whole(bytes));
  CHECK(got.how == CacheResult::kMiss);
  CHECK(content->opens() == 2);
  fixture.settle();
  CHECK(fixture.is_stored(digest));
  CHECK(std::filesystem::file_size(file) == bytes.size());
  CHECK(fixture.cache().index().totals().bytes == bytes.size());
  CHECK(fixture.get_now(fixture.request(*content, digest)).how == CacheResult::kHit);
}

TEST_CASE("a stored file that is gone while upstream is down is an outage, not a 404 for ever") {
  CacheFixture fixture;
  const std::string bytes = bytes_of(100'000);
  const auto digest = digest_of(bytes);
  auto content = ScriptedContent::of(bytes);
  REQUIRE(fixture.get_now(fixture.request(*content, digest)).is_whole(bytes));
  fixture.settle();
  std::filesystem::remove(fixture.cache().directory().blob_file(digest));
  content->refuse_open(outage());
  const Got got = fixture.get_now(fixture.request(*content, digest));
  REQUIRE(got.failure);
  CHECK(got.failure->is_outage());
  content->refuse_open(std::nullopt);
  CHECK(fixture.get_now(fixture.request(*content, digest)).is_whole(bytes));
}
