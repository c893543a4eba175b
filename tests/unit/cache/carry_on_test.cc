// Downloads whose upstream breaks go on from where they were; readers see a pause. Readers far ahead get a
// stream of their own.
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/catch.h"
#include "tests/unit/cache/cache_fixture.h"

using namespace layover;
using namespace layover::test;
using metrics::FillResult;

namespace {

Error broken(ErrorCode code = ErrorCode::kReset) { return {code, ErrorSource::kUpstream, "it broke"}; }

}  // namespace

TEST_CASE("a broken stream is carried on from the byte where it broke, for all readers") {
  const ErrorCode code = GENERATE(ErrorCode::kReset, ErrorCode::kTimeout, ErrorCode::kShortBody,
                                  ErrorCode::kClosed, ErrorCode::kProtocol);
  CacheFixture fixture(2);
  const Blob blob(1, 3'000'000);
  blob.content->break_once_at(1'234'567, broken(code));
  std::vector<std::future<Got>> clients;
  for (unsigned i = 0; i < 8; ++i) {
    clients.push_back(fixture.start_get(fixture.request(*blob.content, blob.digest), i % 2));
  }
  for (auto& client : clients) CHECK(LoopThread::wait_for(std::move(client)).is_whole(blob.bytes));
  fixture.settle();
  CHECK(blob.content->begins() == std::vector<std::uint64_t>{0, 1'234'567});
  CHECK(blob.content->given() == blob.bytes.size());
  CHECK(fixture.fills(FillResult::kCommitted) == 1);
  CHECK(fixture.is_stored(blob.digest));
}

TEST_CASE("a stream for which we have no descriptor just now is carried on like a broken one") {
  CacheFixture fixture;
  const Blob blob(1, 3'000'000);
  blob.content->break_once_at(1'000'000, Error(ErrorCode::kOverloaded, ErrorSource::kSelf, "too many files"));
  CHECK(fixture.get_now(fixture.request(*blob.content, blob.digest)).is_whole(blob.bytes));
  CHECK(blob.content->given() == blob.bytes.size());
}

TEST_CASE("an upstream without ranges sends the whole again, and the readers still go on where they were") {
  CacheFixture fixture;
  const Blob blob(1, 3'000'000);
  blob.content->give_ranges(false);
  blob.content->break_once_at(2'000'001, broken());
  CHECK(fixture.get_now(fixture.request(*blob.content, blob.digest)).is_whole(blob.bytes));
  fixture.settle();
  CHECK(blob.content->begins() == std::vector<std::uint64_t>{0, 2'000'001});
  CHECK(blob.content->given() == blob.bytes.size() + 2'000'001);
}

TEST_CASE("content whose size upstream does not tell is carried on too") {
  CacheFixture fixture;
  const Blob blob(1, 3'000'000);
  blob.content->announce(std::nullopt);
  blob.content->break_once_at(999, broken());
  CHECK(fixture.get_now(fixture.request(*blob.content, blob.digest)).is_whole(blob.bytes));
  CHECK(blob.content->given() == blob.bytes.size());
}

TEST_CASE("an upstream that never recovers fails all readers in bounded time, and nothing is kept") {
  CacheFixture fixture;
  const Blob blob(1, 3'000'000);
  blob.content->break_at(1'000'000, broken());
  const auto started = Deadline::Clock::now();
  const Got got = fixture.get_now(fixture.request(*blob.content, blob.digest));
  REQUIRE(got.failure);
  CHECK(got.failure->code() == ErrorCode::kReset);
  CHECK(got.bytes == blob.bytes.substr(0, 1'000'000));
  CHECK(Deadline::Clock::now() - started < std::chrono::seconds(5));
  CHECK(blob.content->opens() >= 3);
  fixture.settle();
  CHECK_FALSE(fixture.is_stored(blob.digest));
  CHECK(fixture.has_no_partial_files());
}

TEST_CASE("a refusal in the middle is believed at once") {
  CacheFixture fixture;
  const Blob blob(1, 3'000'000);
  blob.content->limit(1'000'000);
  Progress progress;
  auto client = fixture.start_get(fixture.request(*blob.content, blob.digest), 0, &progress);
  REQUIRE(eventually([&] { return progress.received == 1'000'000; }));
  blob.content->refuse_open(refusal(404, ErrorCode::kNotFound));
  blob.content->break_at(1'000'000, broken());
  const Got got = LoopThread::wait_for(std::move(client));
  REQUIRE(got.failure);
  CHECK(got.failure->code() == ErrorCode::kNotFound);
  CHECK(blob.content->opens() == 2);
}

TEST_CASE("wrong bytes after a break are found like any others") {
  CacheFixture fixture;
  const Blob blob(1, 3'000'000);
  std::string wrong = blob.bytes;
  wrong[2'999'000] ^= 1;
  blob.content->set_bytes(wrong);
  blob.content->break_once_at(1'000'000, broken());
  const Got got = fixture.get_now(fixture.request(*blob.content, blob.digest));
  REQUIRE(got.failure);
  CHECK(got.failure->code() == ErrorCode::kDigestMismatch);
  CHECK(got.bytes.size() < blob.bytes.size());
  fixture.settle();
  CHECK_FALSE(fixture.is_stored(blob.digest));
}

namespace {

/// A download that stands at kBegun, and a reader at kFar, for whom a stream of its own has begun.
struct ReaderFarAhead {
  static constexpr std::uint64_t kBegun = 2'000'000;
  static constexpr std::uint64_t kFar = 30'000'000;
  CacheFixture fixture{2};
  Blob blob{1, 40'000'000};
  std::future<Got> first;
  std::future<Got> ahead;

  ReaderFarAhead() {
    blob.content->limit(kBegun);
    auto request = fixture.request(*blob.content, blob.digest);
    request.streams = 4;
    first = fixture.start_get(request);
    REQUIRE(eventually([&] { return blob.content->given() == kBegun; }));
    ahead = fixture.start_get(request, 1, nullptr, {.begin = kFar, .end = kFar + 100'000});
    REQUIRE(eventually([&] { return blob.content->begins().size() == 2; }));
    CHECK(blob.content->begins()[1] == kFar);
  }

  /// Now both go on: each has its bytes, and none came twice.
  void finish() {
    blob.content->limit(ScriptedContent::kNoLimit);
    CHECK(LoopThread::wait_for(std::move(ahead)).is_whole(blob.bytes.substr(kFar, 100'000)));
    CHECK(LoopThread::wait_for(std::move(first)).is_whole(blob.bytes));
    fixture.settle();
    CHECK(fixture.is_stored(blob.digest));
    CHECK(blob.content->given() == blob.bytes.size());
  }
};

}  // namespace

TEST_CASE("a reader far ahead has its bytes before the rest has come, and none comes twice") {
  ReaderFarAhead readers;
  readers.finish();
}

TEST_CASE("a stream that others overtake is dropped at a lull, so that upstream sends nothing in vain") {
  ReaderFarAhead readers;
  const auto& content = *readers.blob.content;
  readers.blob.content->limit(2'100'000);
  CHECK(eventually([&] { return content.begins().size() == 3; }));
  CHECK(content.begins() == std::vector<std::uint64_t>{0, ReaderFarAhead::kFar, 2'100'000});
  readers.finish();
}

TEST_CASE("an upstream that refuses one more stream is left alone, and the one there is brings everything") {
  CacheFixture fixture{2};
  const Blob blob(1, 40'000'000);
  ScriptedContent& content = *blob.content;
  content.limit(2'000'000);
  auto request = fixture.request(content, blob.digest);
  request.streams = 4;
  auto first = fixture.start_get(request);
  REQUIRE(eventually([&] { return content.given() == 2'000'000; }));
  content.refuse_open(Error(ErrorCode::kRateLimited, ErrorSource::kUpstream, "too many")
                          .with_answer({.status = 429, .content_type = {}, .body = {}, .retry_after = "60"}));
  auto ahead = fixture.start_get(request, 1, nullptr, {.begin = 30'000'000, .end = 30'100'000});
  REQUIRE(eventually([&] { return content.begins().size() == 2; }));
  const auto refused = std::chrono::steady_clock::now();
  std::this_thread::sleep_for(std::chrono::milliseconds(500));  // two looks at what is worth it
  for (std::uint64_t limit = 2'100'000; limit <= 30'000'000; limit += 1'000'000) {
    content.limit(limit);
    REQUIRE(eventually([&] { return content.given() == limit; }));
  }
  content.limit(ScriptedContent::kNoLimit);
  CHECK(LoopThread::wait_for(std::move(ahead)).is_whole(blob.bytes.substr(30'000'000, 100'000)));
  CHECK(LoopThread::wait_for(std::move(first)).is_whole(blob.bytes));
  fixture.settle();
  CHECK(fixture.is_stored(blob.digest));
  // Once more every five seconds, on a machine that is that slow.
  const auto took = std::chrono::steady_clock::now() - refused;
  CHECK(content.begins().size() <= 2 + static_cast<std::size_t>(took / std::chrono::seconds(5)));
  CHECK(content.given() == blob.bytes.size());
}

TEST_CASE("the last byte is held back from a reader ahead too") {
  CacheFixture fixture;
  const Blob blob(1, 40'000'000);
  const std::uint64_t size = blob.bytes.size();
  std::string wrong = blob.bytes;
  wrong[10] ^= 1;
  blob.content->set_bytes(wrong);
  auto request = fixture.request(*blob.content, blob.digest);
  request.streams = 4;
  const Got got =
      LoopThread::wait_for(fixture.start_get(request, 0, nullptr, {.begin = size - 1000, .end = size}));
  REQUIRE(got.failure);
  CHECK(got.failure->code() == ErrorCode::kDigestMismatch);
  CHECK(got.bytes.size() == 999);
}
