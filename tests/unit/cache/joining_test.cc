// One download, many readers: who starts it, who joins, what each of them sees and when.
#include <string>
#include <vector>

#include "tests/support/catch.h"
#include "tests/unit/cache/cache_fixture.h"

using namespace layover;
using namespace layover::test;
using metrics::CacheResult;
using metrics::FillResult;

TEST_CASE("50 clients on four loops share one download, whole for each of them") {
  CacheFixture fixture(4);
  const std::string bytes = bytes_of(3'000'000);
  const auto digest = digest_of(bytes);
  auto content = ScriptedContent::of(bytes);
  content->set_piece(10'000);
  content->limit(500'000);
  std::vector<std::future<Got>> clients;
  for (unsigned i = 0; i < 50; ++i)
    clients.push_back(fixture.start_get(fixture.request(*content, digest), i % 4));
  REQUIRE(eventually([&] { return fixture.metrics.fill_readers().value() == 50; }));
  content->limit(ScriptedContent::kNoLimit);
  int missed = 0;
  int joined = 0;
  for (auto& client : clients) {
    const Got got = LoopThread::wait_for(std::move(client));
    CHECK(got.is_whole(bytes));
    missed += got.how == CacheResult::kMiss ? 1 : 0;
    joined += got.how == CacheResult::kJoined ? 1 : 0;
  }
  CHECK(missed == 1);
  CHECK(joined == 49);
  CHECK(content->opens() == 1);
  fixture.settle();
  CHECK(fixture.fills(FillResult::kCommitted) == 1);
  CHECK(fixture.metrics.fill_readers().value() == 0);
  CHECK(content->running() == 0);
  CHECK(fixture.is_stored(digest));
  CHECK(fixture.has_no_partial_files());
}

TEST_CASE("whoever comes later is served what was stored, from every loop") {
  CacheFixture fixture(4);
  const std::string bytes = bytes_of(200'000);
  const auto digest = digest_of(bytes);
  auto content = ScriptedContent::of(bytes);
  CHECK(fixture.get_now(fixture.request(*content, digest), 2).how == CacheResult::kMiss);
  fixture.settle();
  for (unsigned i = 0; i < 4; ++i) {
    const Got got = fixture.get_now(fixture.request(*content, digest), i);
    CHECK(got.is_whole(bytes));
    CHECK(got.how == CacheResult::kHit);
  }
  CHECK(content->opens() == 1);
  CHECK(content->confirms() == 0);
}

TEST_CASE("a reader that joins late gets the blob from its first byte, before the rest has come") {
  CacheFixture fixture(2);
  const std::string bytes = bytes_of(1'000'000);
  const auto digest = digest_of(bytes);
  auto content = ScriptedContent::of(bytes);
  content->limit(600'000);
  Progress first;
  Progress second;
  auto leader = fixture.start_get(fixture.request(*content, digest), 0, &first);
  REQUIRE(eventually([&] { return first.received == 600'000; }));
  auto joiner = fixture.start_get(fixture.request(*content, digest), 1, &second);
  REQUIRE(eventually([&] { return second.received == 600'000; }));
  content->limit(ScriptedContent::kNoLimit);
  CHECK(LoopThread::wait_for(std::move(leader)).is_whole(bytes));
  const Got got = LoopThread::wait_for(std::move(joiner));
  CHECK(got.is_whole(bytes));
  CHECK(got.how == CacheResult::kJoined);
}

TEST_CASE("a range of a running download is served as soon as it is there") {
  CacheFixture fixture;
  const std::string bytes = bytes_of(1'000'000);
  const auto digest = digest_of(bytes);
  auto content = ScriptedContent::of(bytes);
  content->limit(500'000);
  const Got early = LoopThread::wait_for(
      fixture.start_get(fixture.request(*content, digest), 0, nullptr, {.begin = 1000, .end = 400'000}));
  CHECK(early.is_whole(bytes.substr(1000, 399'000)));
  Progress far;
  auto waiting =
      fixture.start_get(fixture.request(*content, digest), 0, &far, {.begin = 900'000, .end = 900'010});
  REQUIRE(eventually([&] { return far.has_opened.load(); }));
  CHECK(far.received == 0);
  content->limit(950'000);
  CHECK(LoopThread::wait_for(std::move(waiting)).is_whole(bytes.substr(900'000, 10)));
}

TEST_CASE("a slow reader slows neither the download nor the other readers") {
  CacheFixture fixture;
  const std::string bytes = bytes_of(2'000'000);
  const auto digest = digest_of(bytes);
  auto content = ScriptedContent::of(bytes);
  // This one opens and takes nothing for as long as it lives.
  auto idle = fixture.loop(0).start([&]() -> net::Task<int> {
    return [](cache::LoopCache& cache, cache::ContentRequest request) -> net::Task<int> {
      auto opened = co_await cache.open(std::move(request), Deadline::after(kPatience));
      co_await net::sleep_until(Deadline::after(std::chrono::hours(1)));
      co_return opened ? 1 : 0;
    }(fixture.on_loop(0), fixture.request(*content, digest));
  });
  REQUIRE(eventually([&] { return fixture.metrics.fill_readers().value() == 1; }));
  CHECK(fixture.get_now(fixture.request(*content, digest)).is_whole(bytes));
  fixture.settle();
  CHECK(fixture.is_stored(digest));
}

TEST_CASE("content of no bytes is content") {
  CacheFixture fixture;
  const auto digest = digest_of("");
  auto content = ScriptedContent::of("");
  CHECK(fixture.get_now(fixture.request(*content, digest)).is_whole(""));
  fixture.settle();
  const Got again = fixture.get_now(fixture.request(*content, digest));
  CHECK(again.is_whole(""));
  CHECK(again.how == CacheResult::kHit);
  CHECK(content->opens() == 1);
}

TEST_CASE("sha512 is verified by sha512 and stored under it") {
  CacheFixture fixture;
  const std::string bytes = bytes_of(70'000);
  const auto digest = digest_of(bytes, oci::Algorithm::kSha512);
  auto content = ScriptedContent::of(bytes);
  CHECK(fixture.get_now(fixture.request(*content, digest)).is_whole(bytes));
  fixture.settle();
  CHECK(fixture.is_stored(digest));
  CHECK_FALSE(fixture.is_stored(digest_of(bytes)));
  content->set_bytes(bytes_of(70'000, 2));
  const auto wrong = digest_of(bytes_of(70'000, 3), oci::Algorithm::kSha512);
  CHECK(fixture.get_now(fixture.request(*content, wrong)).failure);
}

TEST_CASE("two registries never share a download") {
  CacheFixture fixture;
  const std::string bytes = bytes_of(300'000);
  const auto digest = digest_of(bytes);
  auto here = ScriptedContent::of(bytes);
  auto there = ScriptedContent::of(bytes);
  here->limit(100'000);
  Progress progress;
  auto first = fixture.start_get(fixture.request(*here, digest), 0, &progress);
  REQUIRE(eventually([&] { return progress.received == 100'000; }));
  const Got other = fixture.get_now(fixture.request(*there, digest, scope_of("a", "other.example")));
  CHECK(other.is_whole(bytes));
  CHECK(other.how == CacheResult::kMiss);
  here->limit(ScriptedContent::kNoLimit);
  CHECK(LoopThread::wait_for(std::move(first)).is_whole(bytes));
  CHECK(here->opens() == 1);
  CHECK(there->opens() == 1);
  fixture.settle();
  CHECK(fixture.is_stored(digest));
  CHECK(fixture.cache().index().totals().blobs == 1);
}

TEST_CASE("all who joined learn of the download's failure, with upstream's answer") {
  CacheFixture fixture(4);
  const std::string bytes = bytes_of(1000);
  const auto digest = digest_of(bytes);
  auto content = ScriptedContent::of(bytes);
  content->hold_answer(true);
  std::vector<std::future<Got>> clients;
  for (unsigned i = 0; i < 12; ++i)
    clients.push_back(fixture.start_get(fixture.request(*content, digest), i % 4));
  REQUIRE(eventually([&] { return fixture.metrics.fill_readers().value() == 12; }));
  content->refuse_open(refusal(404, ErrorCode::kNotFound));
  content->hold_answer(false);
  for (auto& client : clients) {
    const Got got = LoopThread::wait_for(std::move(client));
    REQUIRE(got.failure);
    CHECK(got.failure->code() == ErrorCode::kNotFound);
    REQUIRE(got.failure->answer() != nullptr);
    CHECK(got.failure->answer()->status == 404);
  }
  CHECK(content->opens() == 1);
  fixture.settle();
  content->refuse_open(std::nullopt);
  CHECK(fixture.get_now(fixture.request(*content, digest)).is_whole(bytes));
}

TEST_CASE("upstream that breaks off fails every reader at the byte that it had come to") {
  CacheFixture fixture(2);
  const std::string bytes = bytes_of(900'000);
  const auto digest = digest_of(bytes);
  auto content = ScriptedContent::of(bytes);
  content->break_at(400'000, Error(ErrorCode::kReset, ErrorSource::kUpstream, "the connection broke"));
  std::vector<std::future<Got>> clients;
  for (unsigned i = 0; i < 6; ++i)
    clients.push_back(fixture.start_get(fixture.request(*content, digest), i % 2));
  for (auto& client : clients) {
    const Got got = LoopThread::wait_for(std::move(client));
    REQUIRE(got.failure);
    CHECK(got.failure->code() == ErrorCode::kReset);
    CHECK(bytes.starts_with(got.bytes));
    CHECK(got.bytes.size() <= 400'000);
  }
  fixture.settle();
  CHECK_FALSE(fixture.is_stored(digest));
  CHECK(fixture.has_no_partial_files());
  CHECK(fixture.metrics.fill_readers().value() == 0);
}
