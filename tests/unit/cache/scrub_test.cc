// What has rotted on the disk is found, put out of the way, and downloaded again.
#include "cache/scrub.h"

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/catch.h"
#include "tests/unit/cache/cache_fixture.h"

using namespace layover;
using namespace layover::test;

namespace {

bool scrub_now(CacheFixture& fixture, const oci::Digest& digest) {
  return fixture.loop(0).run([&] { return cache::scrub_one(fixture.cache(), digest, Bytes{}); });
}

Got get_now(CacheFixture& fixture, const Blob& blob) {
  return fixture.get_now(fixture.request(*blob.content, blob.digest));
}

}  // namespace

TEST_CASE("a stored file with other bytes goes to quarantine, and is downloaded again") {
  CacheFixture fixture;
  const Blob good(1);
  const Blob rotten(2);
  for (const Blob* blob : {&good, &rotten}) CHECK(get_now(fixture, *blob).is_whole(blob->bytes));
  fixture.settle();
  const std::string file = fixture.cache().directory().blob_file(rotten.digest);
  flip_bit(file, 123'456);

  CHECK_FALSE(scrub_now(fixture, good.digest));
  CHECK(scrub_now(fixture, rotten.digest));
  CHECK_FALSE(scrub_now(fixture, rotten.digest));
  CHECK(fixture.is_stored(good.digest));
  CHECK_FALSE(fixture.cache().index().knows(rotten.digest));
  CHECK_FALSE(std::filesystem::exists(file));
  CHECK(entries_in(fixture.path() + "/quarantine") == 1);
  CHECK(fixture.metrics.damaged_objects().value() == 1);

  CHECK(get_now(fixture, rotten).is_whole(rotten.bytes));
  fixture.settle();
  CHECK(rotten.content->opens() == 2);
  CHECK(fixture.is_stored(rotten.digest));
  CHECK_FALSE(scrub_now(fixture, rotten.digest));
}

TEST_CASE("what the disk cannot give is found once it is asked for, and downloaded again") {
  CacheFixture fixture;
  const Blob blob(1);
  CHECK(get_now(fixture, blob).is_whole(blob.bytes));
  fixture.settle();
  SECTION("it can be read after all") {
    fixture.loop(0).call([&] {
      fixture.on_loop(0).note_unreadable(blob.digest);
      return 0;
    });
    CHECK_FALSE(scrub_now(fixture, blob.digest));
    CHECK(fixture.is_stored(blob.digest));
    return;
  }
  fixture.files.fail_always(Call::kReadAt, ErrorCode::kIo);
  fixture.loop(0).call([&] {
    for (int i = 0; i < 3; ++i) fixture.on_loop(0).note_unreadable(blob.digest);
    return 0;
  });
  REQUIRE(eventually([&] { return !fixture.cache().index().knows(blob.digest); }));
  fixture.files.heal();
  CHECK(entries_in(fixture.path() + "/quarantine") == 1);
  CHECK(get_now(fixture, blob).is_whole(blob.bytes));
  fixture.settle();
  CHECK(blob.content->opens() == 2);
  CHECK(fixture.is_stored(blob.digest));
}

TEST_CASE("in the background everything is looked at, also what came while it was switched off") {
  CacheFixture fixture;
  std::vector<Blob> blobs;
  for (unsigned i = 0; i < 5; ++i) blobs.emplace_back(i + 1, 300'000);
  for (const Blob& blob : blobs) CHECK(get_now(fixture, blob).is_whole(blob.bytes));
  fixture.settle();
  for (const unsigned i : {1U, 3U}) flip_bit(fixture.cache().directory().blob_file(blobs[i].digest), 299'999);
  fixture.cache().set_scrub_rate(Bytes{1'000'000'000});
  fixture.loop(0).call([&] {
    fixture.on_loop(0).start_scrub();
    return 0;
  });
  CHECK(eventually([&] { return fixture.metrics.damaged_objects().value() == 2; }));
  for (unsigned i = 0; i < blobs.size(); ++i) {
    CHECK(fixture.cache().index().knows(blobs[i].digest) == (i != 1 && i != 3));
  }
}

TEST_CASE("the quarantine holds the newest and some others") {
  CacheFixture fixture;
  for (unsigned i = 0; i < 20; ++i) {
    const Blob blob(i + 1, 70'000);
    CHECK(get_now(fixture, blob).is_whole(blob.bytes));
    fixture.settle();
    flip_bit(fixture.cache().directory().blob_file(blob.digest), 5);
    CHECK(scrub_now(fixture, blob.digest));
    const std::string newest = blob.digest.hex();
    bool is_there = false;
    for (const auto& entry : std::filesystem::directory_iterator(fixture.path() + "/quarantine")) {
      is_there = is_there || entry.path().filename().string().starts_with(newest);
    }
    CHECK(is_there);
  }
  CHECK(entries_in(fixture.path() + "/quarantine") == 16);
}

TEST_CASE("a damaged file that cannot be moved away goes on to count, and is not served") {
  CacheFixture fixture(1, true, {.max_size = Bytes{10'000'000}, .min_free = {}});
  const Blob blob(1, 3'000'000);
  CHECK(get_now(fixture, blob).is_whole(blob.bytes));
  fixture.settle();
  flip_bit(fixture.cache().directory().blob_file(blob.digest), 5);
  fixture.files.fail(Call::kRename, 0, ErrorCode::kIo);
  CHECK(scrub_now(fixture, blob.digest));
  CHECK_FALSE(fixture.is_stored(blob.digest));
  CHECK(fixture.cache().budget().used().count >= 3'000'000);
  CHECK(get_now(fixture, blob).is_whole(blob.bytes));
  fixture.settle();
  CHECK(fixture.is_stored(blob.digest));
  CHECK(fixture.cache().budget().used().count < 6'000'000);
}
