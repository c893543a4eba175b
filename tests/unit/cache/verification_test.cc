// Nothing unverified leaves whole: the last byte is held back until the digest is right, and wrong bytes
// are neither stored nor asked for again at once.
#include <string>
#include <vector>

#include "tests/support/catch.h"
#include "tests/unit/cache/cache_fixture.h"

using namespace layover;
using namespace layover::test;
using cache::ContentKind;
using cache::FillState;
using metrics::CacheResult;
using metrics::FillResult;

namespace {

/// Ways in which an upstream's body is not the content that the digest names.
struct Wrong {
  std::string what;
  std::string sent;
  std::optional<std::uint64_t> announced;
  FillResult result;
};

std::string with_flip(std::string bytes, std::size_t at) {
  bytes[at] = static_cast<char>(bytes[at] ^ 1);
  return bytes;
}

std::vector<Wrong> all_wrongs(const std::string& good) {
  const auto size = good.size();
  return {
      {"first byte", with_flip(good, 0), size, FillResult::kMismatch},
      {"middle byte", with_flip(good, size / 2), size, FillResult::kMismatch},
      {"last byte", with_flip(good, size - 1), size, FillResult::kMismatch},
      {"last byte, no size", with_flip(good, size - 1), std::nullopt, FillResult::kMismatch},
      {"one byte short, as announced", good.substr(0, size - 1), size - 1, FillResult::kMismatch},
      {"one byte short of the announced", good.substr(0, size - 1), size, FillResult::kShort},
      {"one byte short, no size", good.substr(0, size - 1), std::nullopt, FillResult::kMismatch},
      {"one byte long, as announced", good + "x", size + 1, FillResult::kMismatch},
      {"one byte long, no size", good + "x", std::nullopt, FillResult::kMismatch},
      {"nothing at all", "", 0, FillResult::kMismatch},
      {"nothing at all, no size", "", std::nullopt, FillResult::kMismatch},
  };
}

cache::FillKey any_key() { return {.registry = scope_of("a").registry, .digest = digest_of("x")}; }

}  // namespace

TEST_CASE("wrong bytes reach no reader whole, are not stored, and fail everyone") {
  const std::string good = bytes_of(300'000);
  const auto digest = digest_of(good);
  for (const Wrong& wrong : all_wrongs(good)) {
    INFO(wrong.what);
    CacheFixture fixture(2);
    auto content = ScriptedContent::of(wrong.sent);
    content->announce(wrong.announced);
    std::vector<std::future<Got>> clients;
    for (unsigned i = 0; i < 4; ++i)
      clients.push_back(fixture.start_get(fixture.request(*content, digest), i % 2));
    for (auto& client : clients) {
      const Got got = LoopThread::wait_for(std::move(client));
      CHECK(got.failure);
      const auto whole = wrong.announced.value_or(wrong.sent.size());
      CHECK((got.bytes.empty() || got.bytes.size() < whole));
      CHECK(wrong.sent.starts_with(got.bytes));
    }
    fixture.settle();
    CHECK_FALSE(std::filesystem::exists(fixture.cache().directory().blob_file(digest)));
    CHECK_FALSE(fixture.cache().index().knows(digest));
    CHECK_FALSE(fixture.grant(scope_of("a"), digest));
    CHECK(fixture.has_no_partial_files());
    CHECK(fixture.fills(wrong.result) >= 1);
    CHECK(fixture.fills(FillResult::kCommitted) == 0);
  }
}

TEST_CASE("the last byte is held back until upstream has come to its end and the content is verified") {
  CacheFixture fixture;
  const std::string bytes = bytes_of(400'000);
  const auto digest = digest_of(bytes);
  // All bytes come; upstream's end does not. (Where the size is known, the last byte is the end.)
  auto content = ScriptedContent::of(bytes + "#");
  content->announce(std::nullopt);
  content->limit(bytes.size());
  Progress whole;
  Progress tail;
  auto reader = fixture.start_get(fixture.request(*content, digest), 0, &whole);
  auto tail_reader =
      fixture.start_get(fixture.request(*content, digest), 0, &tail, {.begin = 399'999, .end = 400'000});
  REQUIRE(eventually([&] { return whole.received == bytes.size() - 1; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  CHECK(whole.received == bytes.size() - 1);
  CHECK(tail.received == 0);
  content->set_bytes(bytes);
  CHECK(LoopThread::wait_for(std::move(reader)).is_whole(bytes));
  CHECK(LoopThread::wait_for(std::move(tail_reader)).is_whole(bytes.substr(399'999)));
}

TEST_CASE("of what is announced the last byte is never readable before verification, however much came") {
  FillState state(any_key(), scope_of("a"), ContentKind::kBlob);
  state.publish_head(Bytes{100}, "");
  struct Step {
    ByteRange written;
    std::uint64_t readable;
  };
  for (const Step step : {Step{{0, 0}, 0}, Step{{0, 1}, 1}, Step{{1, 99}, 99}, Step{{99, 100}, 99}}) {
    state.publish_written({{step.written}});
    CHECK(state.readable_end(0) == step.readable);
  }
  // More than was announced: wrong already, and no reason to give out the end.
  state.publish_written({{{100, 150}}});
  CHECK(state.readable_end(0) == 99);
  CHECK(state.readable_end(99) == 99);
  CHECK(state.readable_end(120) == 120);
  CHECK_FALSE(state.view().is_verified);
  state.publish_verified(Bytes{100});
  CHECK(state.readable_end(0) == 100);
}

TEST_CASE("what has come ahead of the rest may be read there, but for the last byte") {
  FillState state(any_key(), scope_of("a"), ContentKind::kBlob);
  state.publish_head(Bytes{100}, "");
  state.publish_written({{{0, 10}, {50, 60}, {90, 100}}});
  CHECK(state.readable_end(5) == 10);
  CHECK(state.readable_end(10) == 10);
  CHECK(state.readable_end(50) == 60);
  CHECK(state.readable_end(95) == 99);
  CHECK(state.readable_end(99) == 99);
}

TEST_CASE("without a size the newest byte is always held back") {
  FillState state(any_key(), scope_of("a"), ContentKind::kBlob);
  state.publish_head(std::nullopt, "");
  CHECK(state.readable_end(0) == 0);
  state.publish_written({{{0, 70}}});
  CHECK(state.readable_end(0) == 69);
  state.publish_verified(Bytes{70});
  CHECK(state.readable_end(0) == 70);
  CHECK(state.view().size == Bytes{70});
}

TEST_CASE("a reader that waits far from what has come is known as long as it waits") {
  FillState state(any_key(), scope_of("a"), ContentKind::kBlob);
  state.publish_head(Bytes{100'000'000}, "");
  state.publish_written({{{0, 1'000'000}}});
  CHECK_FALSE(state.want(1'000'000));
  CHECK_FALSE(state.want(1'500'000));
  {
    const auto seen = state.wanted().version();
    const auto first = state.want(50'000'000);
    const auto second = state.want(20'000'000);
    REQUIRE((first && second));
    CHECK(state.wanted().version() != seen);
    CHECK(state.wants() == std::vector<std::uint64_t>{20'000'000, 50'000'000});
  }
  CHECK(state.wants().empty());
}

TEST_CASE("a failure after verification changes nothing for the readers") {
  FillState state(any_key(), scope_of("a"), ContentKind::kBlob);
  state.publish_head(Bytes{10}, "");
  state.publish_verified(Bytes{10});
  state.publish_failure(outage());
  CHECK_FALSE(state.view().failure);
  FillState failed(any_key(), scope_of("a"), ContentKind::kBlob);
  failed.publish_failure(refusal(404, ErrorCode::kNotFound));
  failed.publish_failure(outage());
  REQUIRE(failed.view().failure);
  CHECK(failed.view().failure->code() == ErrorCode::kNotFound);  // the first one stands
  CHECK_FALSE(failed.admit(scope_of("b"), ContentKind::kBlob));
}

TEST_CASE("a registry that sent wrong bytes is not asked again at once, another one is") {
  CacheFixture fixture;
  const std::string good = bytes_of(1000);
  const auto digest = digest_of(good);
  auto content = ScriptedContent::of(with_flip(good, 7));
  for (int i = 0; i < 5; ++i) {
    const Got got = fixture.get_now(fixture.request(*content, digest));
    REQUIRE(got.failure);
    CHECK(got.failure->code() == ErrorCode::kDigestMismatch);
    fixture.settle();
  }
  CHECK(content->opens() == 1);
  CHECK(fixture.fills(FillResult::kMismatch) == 1);
  CHECK(fixture.metrics.digest_mismatches(fixture.metrics.registry("r.example")).value() == 1);
  const Got refused = fixture.get_now(fixture.request(*content, digest));
  CHECK(refused.failure->message().find("r.example") != std::string::npos);

  auto other = ScriptedContent::of(good);
  CHECK(fixture.get_now(fixture.request(*other, digest, scope_of("a", "other.example"))).is_whole(good));
}

TEST_CASE("a short body is no reason for distrust: the next request asks anew") {
  CacheFixture fixture;
  const std::string good = bytes_of(100'000);
  const auto digest = digest_of(good);
  auto content = ScriptedContent::of(good);
  content->break_at(60'000, Error(ErrorCode::kShortBody, ErrorSource::kUpstream, "it ended early"));
  CHECK(fixture.get_now(fixture.request(*content, digest)).failure);
  fixture.settle();
  CHECK(fixture.fills(FillResult::kShort) == 1);
  content->break_at(UINT64_MAX, outage());
  const int opens = content->opens();
  CHECK(fixture.get_now(fixture.request(*content, digest)).is_whole(good));
  CHECK(content->opens() == opens + 1);
}

TEST_CASE("a manifest over the limit is refused, announced or not") {
  const bool is_sized = GENERATE(true, false);
  CacheFixture fixture;
  const std::string large(cache::kMaxManifest.count + 1, ' ');
  auto content = ScriptedContent::of(large);
  if (!is_sized) content->announce(std::nullopt);
  const Got got =
      fixture.get_now(fixture.request(*content, digest_of(large), scope_of("a"), ContentKind::kManifest));
  REQUIRE(got.failure);
  CHECK(got.failure->code() == ErrorCode::kTooLarge);
  fixture.settle();
  CHECK_FALSE(fixture.is_stored(digest_of(large)));
  CHECK(fixture.has_no_partial_files());
}
