// The limits on space hold at every moment, whatever runs at once; and what does not fit is passed on.
#include <string>
#include <vector>

#include "tests/support/catch.h"
#include "tests/unit/cache/cache_fixture.h"

using namespace layover;
using namespace layover::test;
using metrics::FillResult;

namespace {

cache::SpaceLimits max_size(std::uint64_t bytes) { return {.max_size = Bytes{bytes}, .min_free = {}}; }

Got get_now(CacheFixture& fixture, const Blob& blob) {
  return fixture.get_now(fixture.request(*blob.content, blob.digest));
}

bool is_passed_on(const Got& got, const Blob& blob) {
  return got.is_whole(blob.bytes) && got.how == metrics::CacheResult::kBypass;
}

}  // namespace

TEST_CASE("max_size holds at every moment while downloads of all kinds run on several loops") {
  constexpr std::uint64_t kLimit = 4'000'000;
  CacheFixture fixture(3, true, max_size(kLimit));
  std::vector<Blob> blobs;
  for (unsigned i = 0; i < 24; ++i) {
    blobs.emplace_back(i + 1, 150'000 + 29'000 * (i % 12));
    blobs.back().content->set_piece(40'000);
    if (i % 4 == 0) blobs.back().content->announce(std::nullopt);
    if (i % 6 == 5) blobs.back().content->break_at(90'000, outage());
  }
  for (unsigned round = 0; round < 2; ++round) {
    std::vector<std::future<Got>> clients;
    for (std::size_t i = 0; i < blobs.size(); ++i) {
      clients.push_back(fixture.start_get(fixture.request(*blobs[i].content, blobs[i].digest),
                                          static_cast<unsigned>(i % 3)));
    }
    for (std::size_t i = 0; i < blobs.size(); ++i) {
      const Got got = LoopThread::wait_for(std::move(clients[i]));
      INFO(i << ": " << (got.failure ? got.failure->describe() : "whole"));
      if (i % 6 == 5) {
        CHECK(got.failure);
      } else {
        CHECK(got.is_whole(blobs[i].bytes));
      }
    }
    fixture.settle();
  }
  CHECK(fixture.files.ledger.peak() <= kLimit);
  CHECK(fixture.files.ledger.peak() > kLimit / 2);
  CHECK(fixture.metrics.evicted_bytes().value() > 0);
  REQUIRE(fixture.has_no_partial_files());
  // Nothing stays reserved: what is used is what is stored.
  REQUIRE(eventually([&] {
    const auto& index = fixture.cache().index();
    return fixture.cache().budget().used().count == index.totals().bytes + index.used_with_small().count;
  }));
  CHECK(fixture.files.ledger.now() == fixture.cache().index().totals().bytes);
}

TEST_CASE("a blob larger than max_size is passed on at once, evicts nothing, and the next small one works") {
  CacheFixture fixture(1, true, max_size(2'000'000));
  const Blob kept(1, 500'000);
  const Blob large(2, 2'100'000);
  const Blob small(3, 500'000);
  REQUIRE(get_now(fixture, kept).is_whole(kept.bytes));
  fixture.settle();
  SECTION("its size announced") {
    CHECK(is_passed_on(get_now(fixture, large), large));
    fixture.settle();
    CHECK(large.content->opens() == 1);
    CHECK(fixture.is_stored(kept.digest));
  }
  SECTION("its size not announced") {
    large.content->announce(std::nullopt);
    CHECK(get_now(fixture, large).is_whole(large.bytes));
    fixture.settle();
  }
  CHECK(fixture.fills(FillResult::kAbandoned) == 1);
  CHECK(fixture.fills(FillResult::kDiskError) == 0);
  CHECK_FALSE(fixture.is_stored(large.digest));
  CHECK(get_now(fixture, small).is_whole(small.bytes));
  fixture.settle();
  CHECK(fixture.is_stored(small.digest));
  CHECK(fixture.files.ledger.peak() <= 2'000'000);
}

TEST_CASE("an announced size that no disk has room for is passed on, and counts for nothing") {
  CacheFixture fixture(1, true, {.max_size = Bytes{2'000'000}, .min_free = Bytes{1}});
  const Blob kept(1, 500'000);
  REQUIRE(get_now(fixture, kept).is_whole(kept.bytes));
  fixture.settle();
  const auto is_true = [&] {
    const std::uint64_t used = fixture.cache().budget().used().count;
    return used >= 500'000 && used < 1'000'000;
  };
  const Blob boastful(2, 100'000);
  for (const std::uint64_t below : {std::uint64_t{1}, std::uint64_t{400'000}, std::uint64_t{1} << 62}) {
    // With what is used, the sum of 64 bits would be small.
    boastful.content->announce(0 - below);
    boastful.content->limit(50'000);
    auto client = fixture.start_get(fixture.request(*boastful.content, boastful.digest));
    REQUIRE(eventually([&] { return boastful.content->running() == 1; }));
    CHECK(is_true());
    boastful.content->limit(ScriptedContent::kNoLimit);
    CHECK(LoopThread::wait_for(std::move(client)).failure);
    fixture.settle();
  }
  CHECK(is_true());
  CHECK(fixture.is_stored(kept.digest));
}

TEST_CASE("a download of unknown size may fill the cache but for what cannot go") {
  CacheFixture fixture(1, true, max_size(2'000'000));
  const Blob blob(1, 1'800'000);
  blob.content->announce(std::nullopt);
  CHECK(get_now(fixture, blob).is_whole(blob.bytes));
  CHECK(fixture.files.ledger.peak() <= 2'000'000);
}

TEST_CASE("a download waits for the room of a running one") {
  CacheFixture fixture(2, true, max_size(2'000'000));
  const Blob first(1, 1'200'000);
  const Blob second(2, 1'200'000);
  first.content->limit(600'000);
  auto first_client = fixture.start_get(fixture.request(*first.content, first.digest), 0);
  REQUIRE(eventually([&] { return fixture.files.ledger.now() == 600'000; }));
  auto second_client = fixture.start_get(fixture.request(*second.content, second.digest), 1);
  REQUIRE(eventually([&] { return second.content->running() == 1; }));
  first.content->limit(ScriptedContent::kNoLimit);
  CHECK(LoopThread::wait_for(std::move(first_client)).is_whole(first.bytes));
  CHECK(LoopThread::wait_for(std::move(second_client)).is_whole(second.bytes));
  fixture.settle();
  CHECK(fixture.files.ledger.peak() <= 2'000'000);
}

TEST_CASE("of two downloads that each wait for the other's room one is passed on at once, the other stored") {
  CacheFixture fixture(2, true, max_size(2'000'000));
  const Blob first(1, 1'400'000);
  const Blob second(2, 1'400'000);
  std::vector<std::future<Got>> clients;
  for (const Blob* blob : {&first, &second}) {
    blob->content->announce(std::nullopt);
    blob->content->limit(700'000);
    clients.push_back(fixture.start_get(fixture.request(*blob->content, blob->digest),
                                        static_cast<unsigned>(clients.size())));
  }
  REQUIRE(eventually([&] { return fixture.files.ledger.now() == 1'400'000; }));
  const auto start = std::chrono::steady_clock::now();
  for (const Blob* blob : {&first, &second}) blob->content->limit(ScriptedContent::kNoLimit);
  const Got one = LoopThread::wait_for(std::move(clients[0]));
  const Got other = LoopThread::wait_for(std::move(clients[1]));
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(8));
  CHECK(one.is_whole(first.bytes));
  CHECK(other.is_whole(second.bytes));
  fixture.settle();
  CHECK(fixture.fills(FillResult::kDiskError) == 1);
  CHECK(fixture.is_stored(first.digest) != fixture.is_stored(second.digest));
}

TEST_CASE("min_free is left to others, and eviction makes room when they take more") {
  constexpr std::uint64_t kDisk = 5'000'000;
  constexpr std::uint64_t kMinFree = 1'000'000;
  std::atomic<std::uint64_t> others = 0;
  CacheFixture fixture;
  fixture.files.set_free_space([&] {
    const std::uint64_t taken = others + fixture.files.ledger.now();
    return Bytes{taken < kDisk ? kDisk - taken : 0};
  });
  // Only now: eviction looks as it starts, and would believe the real disk's figure for a second.
  fixture.reopen_with({.max_size = {}, .min_free = Bytes{kMinFree}});
  fixture.files.ledger.start_over();
  for (unsigned i = 1; i <= 8; ++i) {
    const Blob blob(i, 900'000);
    CHECK(get_now(fixture, blob).is_whole(blob.bytes));
    fixture.settle();
    fixture.clock.advance(std::chrono::minutes(5));
  }
  CHECK(fixture.files.ledger.peak() <= kDisk - kMinFree);
  CHECK(fixture.files.ledger.peak() > (kDisk - kMinFree) / 2);

  others = 2'000'000;
  // The figure of a second ago may still be believed once.
  REQUIRE(eventually([&] {
    static unsigned seed = 100;
    const Blob blob(++seed, 900'000);
    return get_now(fixture, blob).is_whole(blob.bytes) &&
           fixture.files.ledger.now() + others <= kDisk - kMinFree;
  }));

  others = kDisk;
  REQUIRE(eventually([&] {
    static unsigned seed = 200;
    const Blob blob(++seed, 900'000);
    return is_passed_on(get_now(fixture, blob), blob);
  }));
  others = 0;
  const Blob again(300, 900'000);
  REQUIRE(eventually([&] {
    const Got got = get_now(fixture, again);
    fixture.settle();
    return got.is_whole(again.bytes) && fixture.is_stored(again.digest);
  }));
}

TEST_CASE("a partial file that cannot be removed stays counted") {
  CacheFixture fixture(1, true, max_size(2'000'000));
  const Blob broken(1, 800'000);
  broken.content->break_at(500'000, outage());
  fixture.files.fail(Call::kRemove, 0, ErrorCode::kIo);
  CHECK(get_now(fixture, broken).failure);
  REQUIRE(eventually([&] { return fixture.files.has_failed(Call::kRemove); }));
  fixture.settle();
  for (unsigned i = 2; i <= 5; ++i) {
    const Blob blob(i, 700'000);
    CHECK(get_now(fixture, blob).is_whole(blob.bytes));
    fixture.settle();
  }
  CHECK(fixture.files.ledger.peak() <= 2'000'000);
}

TEST_CASE("a limit that is lowered while it runs is kept by evicting, and a raised one is used at once") {
  CacheFixture fixture(1, true, max_size(4'000'000));
  std::vector<Blob> blobs;
  for (unsigned i = 0; i < 6; ++i) blobs.emplace_back(i + 1, 500'000);
  for (const Blob& blob : blobs) CHECK(get_now(fixture, blob).is_whole(blob.bytes));
  fixture.settle();
  CHECK(fixture.metrics.evicted_bytes().value() == 0);

  cache::DiskBudget& budget = fixture.cache().budget();
  budget.set_limits(max_size(1'500'000));
  REQUIRE(eventually([&] { return budget.used().count <= 1'500'000; }));
  const Blob large(9, 1'600'000);
  CHECK(is_passed_on(get_now(fixture, large), large));
  fixture.settle();
  budget.set_limits(max_size(4'000'000));
  CHECK(get_now(fixture, large).is_whole(large.bytes));
  fixture.settle();
  CHECK(fixture.is_stored(large.digest));
}
