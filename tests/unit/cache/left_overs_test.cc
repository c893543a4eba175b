// Partial downloads between two fills: what their records say, what is kept, and for how long.
#include "cache/left_overs.h"

#include <fcntl.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/catch.h"
#include "tests/unit/cache/cache_fixture.h"

using namespace layover;
using namespace layover::test;
using cache::FillRecord;
using cache::LeftOver;
using cache::LeftOvers;
using cache::RecordFile;
using metrics::FillResult;

namespace {

FillRecord record_of(const std::string& bytes, std::vector<ByteRange> ranges, WallTime saved) {
  return {.key = {.registry = *oci::RegistryName::parse("r.example"), .digest = digest_of(bytes)},
          .size = Bytes{1'000'000},
          .saved = saved,
          .ranges = std::move(ranges)};
}

/// The folder of a cache without any.
struct Fixture {
  CacheFixture cache;
  const std::string folder = cache.path() + "/fills";
  const WallTime now = cache.clock.wall_now();

  std::unique_ptr<LeftOvers> make() {
    return std::make_unique<LeftOvers>(cache.files, cache.clock, cache.cache().budget(), folder);
  }
  void write(const std::string& name, const std::string& bytes) const {
    std::ofstream(folder + "/" + name, std::ios::binary) << bytes;
  }
  std::set<std::string> names() const {
    std::set<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(folder))
      found.insert(entry.path().filename());
    return found;
  }
};

}  // namespace

TEST_CASE("a record says the same when it is read again, and nothing when it was changed") {
  const WallTime saved{std::chrono::seconds(1'700'000'000)};
  for (const auto& ranges :
       {std::vector<ByteRange>{}, std::vector<ByteRange>{{.begin = 0, .end = 10}},
        std::vector<ByteRange>{{.begin = 0, .end = 10}, {.begin = 12, .end = 1'000'000}}}) {
    const FillRecord record = record_of("x", ranges, saved);
    const std::string text = record.to_text();
    const auto again = FillRecord::parse(text);
    REQUIRE(again);
    CHECK(again->key == record.key);
    CHECK(again->size == record.size);
    CHECK(again->saved == saved);
    CHECK(again->ranges == ranges);
    for (std::size_t i = 0; i < text.size(); ++i) {
      std::string damaged = text;
      damaged[i] ^= 1;
      CHECK_FALSE(FillRecord::parse(damaged));
      CHECK_FALSE(FillRecord::parse(text.substr(0, i)));
    }
  }
}

TEST_CASE("ranges that cannot be are no record") {
  const WallTime saved{std::chrono::seconds(1'700'000'000)};
  for (const auto& ranges : {std::vector<ByteRange>{{.begin = 0, .end = 1'000'001}},
                             std::vector<ByteRange>{{.begin = 5, .end = 5}},
                             std::vector<ByteRange>{{.begin = 5, .end = 9}, {.begin = 9, .end = 12}},
                             std::vector<ByteRange>{{.begin = 5, .end = 9}, {.begin = 2, .end = 3}}}) {
    CHECK_FALSE(FillRecord::parse(record_of("x", ranges, saved).to_text()));
  }
}

TEST_CASE("what a former run left is found by its record, and the rest is removed") {
  Fixture fixture;
  const FillRecord good = record_of("good", {{.begin = 0, .end = 600}}, fixture.now);
  fixture.write("good", std::string(600, 'x'));
  fixture.write("good.record", good.to_text());
  fixture.write("without", "x");
  fixture.write("gone.record", record_of("gone", {{.begin = 0, .end = 1}}, fixture.now).to_text());
  fixture.write("short", "x");
  fixture.write("short.record", record_of("short", {{.begin = 0, .end = 2}}, fixture.now).to_text());
  fixture.write("damaged", "x");
  fixture.write("damaged.record", good.to_text() + "x");
  fixture.write("old", "x");
  fixture.write("old.record",
                record_of("old", {{.begin = 0, .end = 1}}, fixture.now - std::chrono::hours(25)).to_text());
  fixture.write("twice", std::string(600, 'x'));
  fixture.write("twice.record", good.to_text());
  fixture.write("half.record.new", "layover-fill 1");

  auto left_overs = fixture.make();
  left_overs->load();
  CHECK(left_overs->count() == 1);
  CHECK(fixture.names().size() == 2);
  CHECK(fixture.cache.cache().budget().used().count >= 600);
  CHECK_FALSE(
      left_overs->take({.registry = *oci::RegistryName::parse("other.example"), .digest = good.key.digest}));
  auto taken = left_overs->take(good.key);
  REQUIRE(taken);
  CHECK(taken->record.ranges == good.ranges);
  CHECK_FALSE(left_overs->take(good.key));
  left_overs->discard(std::move(*taken));
  CHECK(fixture.names().empty());
}

TEST_CASE("a file that cannot be removed keeps nobody from starting") {
  Fixture fixture;
  fixture.write("without", "x");
  fixture.cache.files.fail(Call::kRemove, 0, ErrorCode::kIo);
  auto left_overs = fixture.make();
  left_overs->load();
  CHECK(left_overs->count() == 0);
  CHECK(fixture.names() == std::set<std::string>{"without"});
}

TEST_CASE("the oldest go first where room is needed, and the too old in any case") {
  Fixture fixture;
  auto left_overs = fixture.make();
  for (int i = 0; i < 3; ++i) {
    const std::string name = std::to_string(i);
    fixture.write(name, std::string(100, 'x'));
    left_overs->put({.path = fixture.folder + "/" + name,
                     .record = record_of(name, {{.begin = 0, .end = 100}}, fixture.cache.clock.wall_now()),
                     .reserved = fixture.cache.cache().budget().hold(Bytes{100}),
                     .file = std::make_shared<RecordFile>(fixture.cache.files, fixture.folder + "/" + name)});
    fixture.cache.clock.advance(std::chrono::hours(1));
  }
  CHECK(left_overs->drop(Bytes{0}).count == 0);
  CHECK(left_overs->drop(Bytes{50}).count == 100);
  CHECK(fixture.names() == std::set<std::string>{"1", "2"});
  fixture.cache.clock.advance(std::chrono::minutes(22 * 60 + 30));
  CHECK(left_overs->drop(Bytes{0}).count == 100);
  CHECK(fixture.names() == std::set<std::string>{"2"});
}

TEST_CASE("a record is replaced after a sync, and not made again once it was removed") {
  Fixture fixture;
  fixture.write("file", "content");
  auto fd = fixture.cache.files.open(fixture.folder + "/file", O_RDWR, 0);
  REQUIRE(fd);
  RecordFile record(fixture.cache.files, fixture.folder + "/file");
  REQUIRE(record.save(fd->get(), record_of("x", {{.begin = 0, .end = 3}}, fixture.now)));
  REQUIRE(record.save(fd->get(), record_of("x", {{.begin = 0, .end = 7}}, fixture.now)));
  CHECK(fixture.names() == std::set<std::string>{"file", "file.record"});
  fixture.cache.files.fail(Call::kSyncData, 0, ErrorCode::kIo);
  CHECK_FALSE(record.save(fd->get(), record_of("x", {{.begin = 0, .end = 8}}, fixture.now)));
  auto left_overs = fixture.make();
  left_overs->load();
  auto taken = left_overs->take(record_of("x", {}, fixture.now).key);
  REQUIRE(taken);
  CHECK(taken->record.ranges == std::vector<ByteRange>{{.begin = 0, .end = 7}});
  CHECK_FALSE(record.remove());  // whether its bytes are on the disk is unknown
  REQUIRE(record.save(fd->get(), record_of("x", {{.begin = 0, .end = 3}}, fixture.now)));
  CHECK(fixture.names() == std::set<std::string>{"file"});
}

namespace {

constexpr std::size_t kLarge = 40'000'000;
constexpr std::uint64_t kCut = 20'000'000;

std::vector<std::uint64_t> begins_after(const Blob& blob, std::size_t count) {
  const auto begins = blob.content->begins();
  return {begins.begin() + static_cast<std::ptrdiff_t>(count), begins.end()};
}

/// A download that was cut at kCut by the end of the process, and the cache as the next process finds it.
struct Interrupted {
  CacheFixture fixture;
  Blob blob{1, kLarge};

  Interrupted() {
    blob.content->limit(kCut);
    auto client = fixture.start_get(fixture.request(*blob.content, blob.digest));
    REQUIRE(eventually([&] { return blob.content->given() == kCut && fixture.files.ledger.now() == kCut; }));
    fixture.reopen();
    blob.content->limit(ScriptedContent::kNoLimit);
  }
  std::string partial_file() const {
    for (const auto& entry : std::filesystem::directory_iterator(fixture.path() + "/fills")) {
      if (!entry.path().string().ends_with(".record")) return entry.path();
    }
    return {};
  }
};

}  // namespace

TEST_CASE("a download that the end of the process cut goes on after the next start") {
  Interrupted cut;
  CHECK(
      cut.fixture.get_now(cut.fixture.request(*cut.blob.content, cut.blob.digest)).is_whole(cut.blob.bytes));
  cut.fixture.settle();
  CHECK(begins_after(cut.blob, 1) == std::vector<std::uint64_t>{kCut});
  CHECK(cut.blob.content->given() == kLarge);
  CHECK(cut.fixture.is_stored(cut.blob.digest));
  CHECK(cut.fixture.has_no_partial_files());
}

TEST_CASE("a left-over that was changed meanwhile completes nobody, and the next fill begins from nothing") {
  Interrupted cut;
  flip_bit(cut.partial_file(), 1'000'000);
  const Got got = cut.fixture.get_now(cut.fixture.request(*cut.blob.content, cut.blob.digest));
  REQUIRE(got.failure);
  CHECK(got.failure->code() == ErrorCode::kDigestMismatch);
  cut.fixture.settle();
  CHECK(cut.fixture.has_no_partial_files());
  // Upstream is not to blame: it is asked again at once.
  CHECK(
      cut.fixture.get_now(cut.fixture.request(*cut.blob.content, cut.blob.digest)).is_whole(cut.blob.bytes));
  CHECK(begins_after(cut.blob, 2) == std::vector<std::uint64_t>{0});
}

TEST_CASE("an upstream that gives no ranges, or another size, makes a left-over useless") {
  Interrupted cut;
  SECTION("no ranges") {
    cut.blob.content->give_ranges(false);
    CHECK(cut.fixture.get_now(cut.fixture.request(*cut.blob.content, cut.blob.digest))
              .is_whole(cut.blob.bytes));
    cut.fixture.settle();
    CHECK(cut.fixture.has_no_partial_files());
  }
  SECTION("another size") {
    cut.blob.content->announce(kLarge + 1);
    CHECK(cut.fixture.get_now(cut.fixture.request(*cut.blob.content, cut.blob.digest)).failure);
    cut.blob.content->announce(kLarge);
    CHECK(cut.fixture.get_now(cut.fixture.request(*cut.blob.content, cut.blob.digest))
              .is_whole(cut.blob.bytes));
    CHECK(cut.blob.content->begins().back() == 0);
  }
}

TEST_CASE("a fill that is given up while its useless left-over is removed leaves none") {
  Interrupted cut;
  cut.fixture.cache().set_complete_abandoned(false);
  cut.blob.content->give_ranges(false);
  cut.fixture.files.hold(Call::kRemove);
  auto client = cut.fixture.start_get(cut.fixture.request(*cut.blob.content, cut.blob.digest));
  REQUIRE(eventually([&] { return cut.fixture.files.waiting(Call::kRemove) > 0; }));
  cut.fixture.loop(0).cancel_tasks();
  REQUIRE(eventually([&] { return cut.fixture.fills(FillResult::kAbandoned) == 1; }));
  cut.fixture.files.release();
  cut.fixture.settle();
  cut.fixture.cache().left_overs().drop(1_MiB);
  CHECK(cut.fixture.has_no_partial_files());
}

TEST_CASE("a fill that cannot use its left-over now leaves it for the next one") {
  Interrupted cut;
  CacheFixture& fixture = cut.fixture;
  const auto request = fixture.request(*cut.blob.content, cut.blob.digest);
  SECTION("there is no room for the rest") {
    fixture.cache().budget().set_limits({.max_size = {}, .min_free = {}, .max_object = Bytes{30'000'000}});
    CHECK(fixture.get_now(request).is_whole(cut.blob.bytes));
    fixture.settle();
    fixture.cache().budget().set_limits({});
  }
  SECTION("its file cannot be opened for lack of a descriptor") {
    fixture.files.fail(Call::kOpen, 0, ErrorCode::kOverloaded);
    CHECK(fixture.get_now(request).is_whole(cut.blob.bytes));
    fixture.settle();
  }
  SECTION("it is given up") {
    cut.blob.content->refuse_open(Error(ErrorCode::kCancelled, ErrorSource::kSelf, "no connection to spare"));
    CHECK(fixture.get_now(request).failure);
    fixture.settle();
    cut.blob.content->refuse_open(std::nullopt);
  }
  CHECK_FALSE(fixture.is_stored(cut.blob.digest));
  CHECK(fixture.get_now(request).is_whole(cut.blob.bytes));
  fixture.settle();
  CHECK(cut.blob.content->begins().back() == kCut);
  CHECK(fixture.is_stored(cut.blob.digest));
  CHECK(fixture.has_no_partial_files());
}

TEST_CASE("a left-over that cannot be read is passed over: its bytes come from upstream") {
  Interrupted cut;
  cut.fixture.files.fail_always(Call::kReadAt, ErrorCode::kIo);
  CHECK(
      cut.fixture.get_now(cut.fixture.request(*cut.blob.content, cut.blob.digest)).is_whole(cut.blob.bytes));
}

TEST_CASE("a refusal and an outage leave a left-over for the next fill") {
  Interrupted cut;
  cut.blob.content->refuse_open(refusal(403, ErrorCode::kDenied));
  CHECK(cut.fixture.get_now(cut.fixture.request(*cut.blob.content, cut.blob.digest)).failure);
  cut.blob.content->refuse_open(outage());
  CHECK(cut.fixture.get_now(cut.fixture.request(*cut.blob.content, cut.blob.digest)).failure);
  cut.fixture.settle();
  cut.blob.content->refuse_open(std::nullopt);
  CHECK(
      cut.fixture.get_now(cut.fixture.request(*cut.blob.content, cut.blob.digest)).is_whole(cut.blob.bytes));
  CHECK(cut.blob.content->given() == kLarge);
}

TEST_CASE("another registry has nothing of a left-over") {
  Interrupted cut;
  const auto request =
      cut.fixture.request(*cut.blob.content, cut.blob.digest, scope_of("a", "other.example"));
  CHECK(cut.fixture.get_now(request).is_whole(cut.blob.bytes));
  CHECK(cut.blob.content->begins().back() == 0);
}

TEST_CASE("a download that upstream ended for good goes on with the next request") {
  CacheFixture fixture;
  const Blob blob(1, kLarge);
  blob.content->break_at(kCut, outage());
  CHECK(fixture.get_now(fixture.request(*blob.content, blob.digest)).failure);
  fixture.settle();
  blob.content->break_at(ScriptedContent::kNoLimit, outage());
  const auto before = blob.content->begins().size();
  CHECK(fixture.get_now(fixture.request(*blob.content, blob.digest)).is_whole(blob.bytes));
  CHECK(begins_after(blob, before) == std::vector<std::uint64_t>{kCut});
  CHECK(blob.content->given() == kLarge);
  fixture.settle();
  CHECK(fixture.has_no_partial_files());
}

TEST_CASE("a left-over counts, and makes room for what is asked for") {
  CacheFixture fixture(1, true, {.max_size = Bytes{60'000'000}, .min_free = {}});
  const Blob broken(1, kLarge);
  broken.content->break_at(kCut, outage());
  CHECK(fixture.get_now(fixture.request(*broken.content, broken.digest)).failure);
  fixture.settle();
  const Blob other(2, 50'000'000);
  CHECK(fixture.get_now(fixture.request(*other.content, other.digest)).is_whole(other.bytes));
  fixture.settle();
  CHECK(fixture.is_stored(other.digest));
  CHECK(fixture.has_no_partial_files());
  CHECK(fixture.files.ledger.peak() <= 60'000'000);
}

TEST_CASE("what is small is not kept") {
  CacheFixture fixture;
  const Blob blob(1, 5'000'000);
  blob.content->break_at(4'000'000, outage());
  CHECK(fixture.get_now(fixture.request(*blob.content, blob.digest)).failure);
  CHECK(fixture.has_no_partial_files());
}

TEST_CASE("while a download runs, what is there is recorded now and then") {
  CacheFixture fixture;
  const Blob blob(1, 200'000'000);
  blob.content->limit(70'000'000);
  auto client = fixture.start_get(fixture.request(*blob.content, blob.digest));
  const auto recorded = [&]() -> std::uint64_t {
    for (const auto& entry : std::filesystem::directory_iterator(fixture.path() + "/fills")) {
      if (!entry.path().string().ends_with(".record")) continue;
      const auto record = FillRecord::parse(*read_file(fixture.files, entry.path(), 1_MiB));
      if (record && !record->ranges.empty()) return record->ranges.back().end;
    }
    return 0;
  };
  CHECK(eventually([&] { return recorded() >= std::uint64_t{64} << 20; }));
  blob.content->limit(150'000'000);
  CHECK(eventually([&] { return recorded() >= std::uint64_t{128} << 20; }));
  blob.content->limit(ScriptedContent::kNoLimit);
  CHECK(LoopThread::wait_for(std::move(client)).is_whole(blob.bytes));
  fixture.settle();
  CHECK(fixture.has_no_partial_files());
}

TEST_CASE("what a job may still be writing to is not taken over") {
  CacheFixture fixture(2, false);
  const Blob blob(1, kLarge);
  blob.content->limit(kCut);
  auto gone = fixture.start_get(fixture.request(*blob.content, blob.digest), 1);
  REQUIRE(eventually([&] { return fixture.files.ledger.now() == kCut; }));
  fixture.files.hold(Call::kWriteAt);
  blob.content->limit(ScriptedContent::kNoLimit);
  REQUIRE(eventually([&] { return fixture.files.waiting(Call::kWriteAt) > 0; }));
  fixture.loop(1).cancel_tasks();
  REQUIRE(eventually([&] { return fixture.fills(FillResult::kAbandoned) == 1; }));

  auto next = fixture.start_get(fixture.request(*blob.content, blob.digest), 0);
  REQUIRE(eventually([&] { return blob.content->begins().size() == 2; }));
  CHECK(blob.content->begins().back() == 0);
  fixture.files.release();
  CHECK(LoopThread::wait_for(std::move(next)).is_whole(blob.bytes));
}
