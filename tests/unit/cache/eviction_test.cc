// Eviction: what goes and what stays, whom it disturbs, and what is left when it is cut off midway.
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/catch.h"
#include "tests/unit/cache/cache_fixture.h"

using namespace layover;
using namespace layover::test;
using metrics::CacheResult;
using metrics::FillResult;

namespace {

constexpr std::size_t kBlob = kBlobBytes;
/// Room for three blobs and the index.
constexpr cache::SpaceLimits kThreeBlobs{.max_size = Bytes{3'600'000}, .min_free = {}};

void pull(CacheFixture& fixture, Blob& blob, cache::Scope scope = scope_of("a")) {
  REQUIRE(
      fixture.get_now(fixture.request(*blob.content, blob.digest, std::move(scope))).is_whole(blob.bytes));
  fixture.settle();
  fixture.clock.advance(std::chrono::minutes(5));
}

/// What is stored twice over: by the index, and by the files, of which one may go meanwhile.
std::uint64_t bytes_of_files(const CacheFixture& fixture) {
  std::uint64_t sum = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(fixture.path() + "/blobs")) {
    std::error_code is_gone;
    const auto size = entry.is_regular_file(is_gone) ? entry.file_size(is_gone) : 0;
    if (!is_gone) sum += size;
  }
  return sum;
}

/// Eviction has nothing more to do, and what it did is done.
bool is_at_rest(CacheFixture& fixture) {
  return eventually([&] {
    return fixture.cache().budget().used() <= fixture.cache().budget().limits().max_size &&
           bytes_of_files(fixture) == fixture.cache().index().totals().bytes;
  });
}

/// Whether there is spare room of that size, for a moment.
net::Task<bool> has_spare(cache::DiskBudget& budget, Bytes size) {
  cache::Reservation spare(budget);
  const auto reserved = co_await budget.reserve_spare(spare, size);
  co_return reserved.has_value();
}

/// A client that reads half, waits for `may_go_on`, and reads the rest.
net::Task<Got> read_in_two(cache::LoopCache& cache, cache::ContentRequest request, std::size_t half,
                           Progress& progress, std::atomic<bool>& may_go_on) {
  Got got;
  auto opened = co_await cache.open(std::move(request), Deadline::after(kPatience));
  if (!opened) {
    got.failure = opened.error();
    co_return got;
  }
  auto failed = co_await read_range(*opened->reader, {.begin = 0, .end = half}, got.bytes, &progress);
  while (!may_go_on) co_await net::sleep_until(Deadline::after(std::chrono::milliseconds(2)));
  failed = co_await read_range(*opened->reader, {.begin = half, .end = kToTheEnd}, got.bytes, &progress);
  got.failure = std::move(failed);
  co_return got;
}

}  // namespace

TEST_CASE("what was used longest ago goes first, and a hit counts as use") {
  CacheFixture fixture(1, true, kThreeBlobs);
  Blob first(1);
  Blob second(2);
  Blob third(3);
  Blob fourth(4);
  for (Blob* blob : {&first, &second, &third}) pull(fixture, *blob);
  CHECK(fixture.get_now(fixture.request(*first.content, first.digest)).how == CacheResult::kHit);
  const WallTime hit = fixture.clock.wall_now();
  REQUIRE(eventually([&] { return fixture.cache().index().find(first.digest)->used == hit; }));
  pull(fixture, fourth);
  REQUIRE(is_at_rest(fixture));
  CHECK(fixture.is_stored(first.digest));
  CHECK_FALSE(fixture.is_stored(second.digest));
  CHECK(fixture.is_stored(fourth.digest));
}

TEST_CASE("what was used in a time to come, by a clock that was set back since, goes first") {
  CacheFixture fixture(1, true, kThreeBlobs);
  std::vector<Blob> blobs{Blob(1), Blob(2), Blob(3), Blob(4)};
  fixture.clock.advance(std::chrono::hours(240));
  pull(fixture, blobs[0]);
  fixture.clock.advance(-std::chrono::hours(240));
  for (std::size_t i = 1; i < blobs.size(); ++i) pull(fixture, blobs[i]);
  REQUIRE(is_at_rest(fixture));
  CHECK_FALSE(fixture.is_stored(blobs[0].digest));
  CHECK(fixture.is_stored(blobs[3].digest));
}

TEST_CASE("a use puts right what a clock has said that was set back since") {
  CacheFixture fixture(1, true, kThreeBlobs);
  std::vector<Blob> blobs{Blob(1), Blob(2), Blob(3), Blob(4)};
  fixture.clock.advance(std::chrono::hours(240));
  pull(fixture, blobs[0]);
  fixture.clock.advance(-std::chrono::hours(240));
  pull(fixture, blobs[1]);
  pull(fixture, blobs[0]);
  REQUIRE(eventually(
      [&] { return fixture.cache().index().find(blobs[0].digest)->used <= fixture.clock.wall_now(); }));
  pull(fixture, blobs[2]);
  pull(fixture, blobs[3]);
  REQUIRE(is_at_rest(fixture));
  CHECK(fixture.is_stored(blobs[0].digest));
  CHECK_FALSE(fixture.is_stored(blobs[1].digest));
}

TEST_CASE("for what no client has asked for, nothing goes that was used within a day") {
  CacheFixture fixture(1, true, kThreeBlobs);
  std::vector<Blob> blobs{Blob(1), Blob(2), Blob(3)};
  for (Blob& blob : blobs) pull(fixture, blob);
  REQUIRE(is_at_rest(fixture));
  cache::DiskBudget& budget = fixture.cache().budget();
  const auto reserve = [&](Bytes size) {
    return fixture.loop(0).run([&budget, size] { return has_spare(budget, size); });
  };
  CHECK(reserve(Bytes{300'000}));
  CHECK_FALSE(reserve(Bytes{kBlob}));
  CHECK_FALSE(reserve(Bytes{kBlob}));  // it was not made room for
  CHECK(fixture.cache().index().totals().blobs == 3);

  fixture.clock.advance(std::chrono::hours(25));
  // A limit that leaves nothing below the high water, and is not passed.
  budget.set_limits({.max_size = Bytes{3'070'000}, .min_free = {}});
  CHECK_FALSE(reserve(Bytes{kBlob}));
  CHECK(eventually([&] { return fixture.cache().index().totals().blobs == 2; }));
  REQUIRE(is_at_rest(fixture));
  CHECK(reserve(Bytes{kBlob / 2}));
}

TEST_CASE("a hit soon after the last use is not written") {
  CacheFixture fixture(1, true, kThreeBlobs);
  Blob blob(1);
  REQUIRE(fixture.get_now(fixture.request(*blob.content, blob.digest)).is_whole(blob.bytes));
  fixture.settle();
  const WallTime stored = fixture.cache().index().find(blob.digest)->used;
  fixture.clock.advance(std::chrono::seconds(9));
  CHECK(fixture.get_now(fixture.request(*blob.content, blob.digest)).how == CacheResult::kHit);
  fixture.clock.advance(std::chrono::seconds(2));
  CHECK(fixture.get_now(fixture.request(*blob.content, blob.digest)).how == CacheResult::kHit);
  // The later of the two is; had the earlier been, it would have kept this one from being written.
  REQUIRE(eventually([&] { return fixture.cache().index().find(blob.digest)->used != stored; }));
  CHECK(fixture.cache().index().find(blob.digest)->used == fixture.clock.wall_now());
}

TEST_CASE("what was evicted is downloaded again") {
  CacheFixture fixture(1, true, kThreeBlobs);
  Blob first(1);
  std::vector<Blob> others{Blob(2), Blob(3), Blob(4)};
  pull(fixture, first);
  for (Blob& blob : others) pull(fixture, blob);
  REQUIRE(is_at_rest(fixture));
  REQUIRE_FALSE(fixture.is_stored(first.digest));
  const Got again = fixture.get_now(fixture.request(*first.content, first.digest));
  CHECK(again.is_whole(first.bytes));
  CHECK(again.how == CacheResult::kMiss);
  CHECK(first.content->opens() == 2);
}

TEST_CASE("a slow reader of content that is evicted gets its bytes to the end") {
  CacheFixture fixture(2, true, kThreeBlobs);
  Blob first(1);
  std::vector<Blob> others{Blob(2), Blob(3), Blob(4)};
  pull(fixture, first);
  Progress progress;
  std::atomic<bool> may_go_on = false;
  auto slow = fixture.loop(1).start([&] {
    return read_in_two(fixture.on_loop(1), fixture.request(*first.content, first.digest), kBlob / 2, progress,
                       may_go_on);
  });
  REQUIRE(eventually([&] { return progress.received == kBlob / 2; }));
  fixture.clock.advance(std::chrono::minutes(5));
  for (Blob& blob : others) pull(fixture, blob);
  REQUIRE(is_at_rest(fixture));
  CHECK_FALSE(fixture.is_stored(first.digest));
  may_go_on = true;
  CHECK(LoopThread::wait_for(std::move(slow)).is_whole(first.bytes));
}

TEST_CASE("content that repositories and registries share is removed once, with all its grants") {
  CacheFixture fixture(1, true, kThreeBlobs);
  Blob shared(1);
  const std::vector<cache::Scope> scopes{scope_of("a"), scope_of("b"), scope_of("a", "other.example")};
  for (const auto& scope : scopes) pull(fixture, shared, scope);
  CHECK(fixture.cache().index().totals().bytes == kBlob);
  for (const auto& scope : scopes) REQUIRE(fixture.grant(scope, shared.digest));
  std::vector<Blob> others{Blob(2), Blob(3), Blob(4)};
  for (Blob& blob : others) pull(fixture, blob);
  REQUIRE(is_at_rest(fixture));
  CHECK_FALSE(fixture.is_stored(shared.digest));
  for (const auto& scope : scopes) CHECK_FALSE(fixture.grant(scope, shared.digest));
  const auto totals = fixture.cache().index().totals();
  CHECK(totals.bytes == totals.blobs * kBlob);
  CHECK(fixture.metrics.evicted_objects().value() == 4 - totals.blobs);
  CHECK(fixture.metrics.evicted_bytes().value() == (4 - totals.blobs) * kBlob);
}

TEST_CASE("small content leaves its copy beside the index too") {
  CacheFixture fixture(1, true, kThreeBlobs);
  Blob small(1, 500);
  pull(fixture, small);
  const auto has_copy = [&] {
    return fixture.loop(0)
        .call([&] { return fixture.cache().index().snapshot(0).small(small.digest); })
        .has_value();
  };
  REQUIRE(has_copy());
  std::vector<Blob> others{Blob(2), Blob(3), Blob(4), Blob(5)};
  for (Blob& blob : others) pull(fixture, blob);
  REQUIRE(is_at_rest(fixture));
  CHECK_FALSE(fixture.is_stored(small.digest));
  CHECK_FALSE(has_copy());
}

TEST_CASE("a start with a lowered limit evicts down to it, the oldest first") {
  CacheFixture fixture;
  std::vector<Blob> blobs{Blob(1), Blob(2), Blob(3), Blob(4), Blob(5)};
  for (Blob& blob : blobs) pull(fixture, blob);
  REQUIRE(fixture.cache().index().totals().bytes == 5 * kBlob);
  fixture.reopen_with({.max_size = Bytes{2'600'000}, .min_free = {}});
  REQUIRE(is_at_rest(fixture));
  CHECK(fixture.cache().index().totals().bytes == 2 * kBlob);
  CHECK(fixture.is_stored(blobs[3].digest));
  CHECK(fixture.is_stored(blobs[4].digest));
}

TEST_CASE("a file that lost its entry but not its name is adopted by the next start and counted meanwhile") {
  CacheFixture fixture(1, true, kThreeBlobs);
  Blob first(1);
  std::vector<Blob> others{Blob(2), Blob(3), Blob(4)};
  pull(fixture, first);
  pull(fixture, others[0]);
  fixture.files.fail(Call::kRemove, 0, ErrorCode::kIo);
  pull(fixture, others[1]);
  pull(fixture, others[2]);
  REQUIRE(fixture.files.has_failed(Call::kRemove));
  const std::string file = fixture.cache().directory().blob_file(first.digest);
  CHECK(std::filesystem::exists(file));
  CHECK_FALSE(fixture.cache().index().knows(first.digest));
  CHECK(fixture.files.ledger.peak() <= kThreeBlobs.max_size.count);

  fixture.reopen_with({});
  fixture.loop(0).call([&] {
    fixture.on_loop(0).start_sweep();
    return 0;
  });
  REQUIRE(eventually([&] { return fixture.cache().index().knows(first.digest); }));
  CHECK(bytes_of_files(fixture) == fixture.cache().index().totals().bytes);
  const Got got = fixture.get_now(fixture.request(*first.content, first.digest));
  CHECK(got.is_whole(first.bytes));
  CHECK(got.how == CacheResult::kRevalidated);
  CHECK(first.content->opens() == 1);
}

TEST_CASE("where no file can be unlinked, eviction pauses before it forgets more of what is stored") {
  CacheFixture fixture(1, true, {.max_size = Bytes{4'000'000}, .min_free = {}});
  constexpr unsigned kMoreThanABatch = 100;
  std::vector<Blob> blobs;
  for (unsigned i = 0; i < kMoreThanABatch; ++i) blobs.emplace_back(i + 1, 10'000);
  for (Blob& blob : blobs) pull(fixture, blob);
  fixture.files.fail_always(Call::kRemove, ErrorCode::kIo);
  const unsigned before = fixture.files.calls(Call::kRemove);
  fixture.cache().budget().set_limits({.max_size = Bytes{700'000}, .min_free = {}});
  REQUIRE(eventually([&] { return fixture.files.calls(Call::kRemove) > before; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  constexpr unsigned kBatchAndOne = 33;
  CHECK(fixture.cache().index().totals().blobs >= kMoreThanABatch - kBatchAndOne);
  CHECK(fixture.metrics.evicted_objects().value() == 0);

  // Nor is what stays waited for: nobody takes it away.
  Blob next(kMoreThanABatch + 1, 50'000);
  const auto begun = std::chrono::steady_clock::now();
  CHECK(fixture.get_now(fixture.request(*next.content, next.digest)).is_whole(next.bytes));
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(4));
}

TEST_CASE("adopted files that pass the limit are evicted after the sweep") {
  CacheFixture fixture;
  std::vector<Blob> blobs{Blob(1), Blob(2), Blob(3), Blob(4), Blob(5)};
  for (Blob& blob : blobs) pull(fixture, blob);
  fixture.close();
  std::filesystem::remove_all(fixture.path() + "/index");
  fixture.reopen_with(kThreeBlobs);
  CHECK(fixture.cache().index().totals().bytes == 0);
  fixture.loop(0).call([&] {
    fixture.on_loop(0).start_sweep();
    return 0;
  });
  REQUIRE(eventually([&] { return fixture.metrics.evicted_objects().value() >= 2; }));
  REQUIRE(is_at_rest(fixture));
  CHECK(fixture.cache().index().totals().bytes > 0);
}

TEST_CASE("commits, evictions and losses of the same contents leave files and index in agreement") {
  CacheFixture fixture(3, true, {.max_size = Bytes{900'000}, .min_free = {}});
  std::vector<Blob> blobs;
  for (unsigned i = 1; i <= 6; ++i) blobs.emplace_back(i, 200'000);
  for (unsigned round = 0; round < 12; ++round) {
    std::vector<std::pair<std::future<Got>, std::size_t>> clients;
    for (std::size_t i = 0; i < blobs.size(); ++i) {
      for (const char* registry : {"r.example", "other.example"}) {
        const auto on = static_cast<unsigned>(clients.size()) % 3;
        clients.emplace_back(
            fixture.start_get(fixture.request(*blobs[i].content, blobs[i].digest, scope_of("a", registry)),
                              on),
            i);
      }
    }
    // Somebody deletes a file by hand: the next reader of it quarantines and forgets it.
    std::error_code ignored;
    std::filesystem::remove(fixture.cache().directory().blob_file(blobs[round % 6].digest), ignored);
    for (auto& [client, i] : clients) CHECK(LoopThread::wait_for(std::move(client)).is_whole(blobs[i].bytes));
    fixture.clock.advance(std::chrono::minutes(5));
  }
  fixture.settle();
  CHECK(fixture.metrics.evicted_objects().value() > 0);
  // What was deleted by hand and not asked for again is still in the index: ask for all once more.
  for (Blob& blob : blobs) pull(fixture, blob);
  REQUIRE(is_at_rest(fixture));
  for (const Blob& blob : blobs) {
    const auto file = fixture.cache().directory().blob_file(blob.digest);
    CHECK(std::filesystem::exists(file) == fixture.cache().index().knows(blob.digest));
  }
  CHECK(fixture.has_no_partial_files());
}
