// Clients that leave: the download goes on or is dropped as configured, and nothing is left behind,
// wherever it stood.
#include <algorithm>
#include <string>
#include <vector>

#include "tests/support/catch.h"
#include "tests/unit/cache/cache_fixture.h"

using namespace layover;
using namespace layover::test;
using metrics::CacheResult;
using metrics::FillResult;

namespace {

const std::string kBytes = bytes_of(500'000);
const oci::Digest kDigest = digest_of(kBytes);

/// Where a download stands still when its client leaves.
enum class Point { kBeforeAnswer, kOpeningFile, kInBody, kWriting, kAtTheEnd, kSyncing, kIndexing };

constexpr std::array kPoints{Point::kBeforeAnswer, Point::kOpeningFile, Point::kInBody,  Point::kWriting,
                             Point::kAtTheEnd,     Point::kSyncing,     Point::kIndexing};

/// Brings a download to a point and holds it there.
class Held {
 public:
  Held(CacheFixture& fixture, Point point) : fixture_(fixture), point_(point) {
    switch (point) {
      case Point::kBeforeAnswer: content->hold_answer(true); break;
      case Point::kOpeningFile: fixture.files.hold(Call::kOpen); break;
      case Point::kInBody: content->limit(200'000); break;
      case Point::kWriting: fixture.files.hold(Call::kWriteAt); break;
      case Point::kAtTheEnd: content->limit(kBytes.size() - 1); break;
      case Point::kSyncing: fixture.files.hold(Call::kSyncData); break;
      case Point::kIndexing: fixture.files.hold(Call::kSyncDirectory); break;
    }
  }

  bool is_reached(const Progress& progress) {
    switch (point_) {
      case Point::kBeforeAnswer: return content->opens() == 1;
      case Point::kOpeningFile: return fixture_.files.waiting(Call::kOpen) > 0;
      case Point::kInBody: return progress.received == 200'000;
      case Point::kWriting: return fixture_.files.waiting(Call::kWriteAt) > 0;
      case Point::kAtTheEnd: return progress.received == kBytes.size() - 1;
      case Point::kSyncing: return fixture_.files.waiting(Call::kSyncData) > 0;
      case Point::kIndexing: return fixture_.files.waiting(Call::kSyncDirectory) > 0;
    }
    return false;
  }

  void let_go() {
    content->hold_answer(false);
    content->limit(ScriptedContent::kNoLimit);
    fixture_.files.release();
  }

  std::shared_ptr<ScriptedContent> content = ScriptedContent::of(kBytes);

 private:
  CacheFixture& fixture_;
  Point point_;
};

void expect_nothing_left(CacheFixture& fixture, const ScriptedContent& content) {
  fixture.settle();
  CHECK(fixture.metrics.fill_readers().value() == 0);
  CHECK(content.running() == 0);
  CHECK(fixture.has_no_partial_files());
}

}  // namespace

TEST_CASE("the only client leaves, wherever the download stands: it is finished and stored") {
  for (const Point point : kPoints) {
    INFO("point " << static_cast<int>(point));
    CacheFixture fixture(1, true);
    Held held(fixture, point);
    Progress progress;
    (void)fixture.start_get(fixture.request(*held.content, kDigest), 0, &progress);
    REQUIRE(eventually([&] { return held.is_reached(progress); }));
    fixture.loop(0).cancel_tasks();
    held.let_go();
    expect_nothing_left(fixture, *held.content);
    CHECK(fixture.fills(FillResult::kCommitted) == 1);
    CHECK(fixture.is_stored(kDigest));
    CHECK(fixture.get_now(fixture.request(*held.content, kDigest)).how == CacheResult::kHit);
  }
}

TEST_CASE("downloads that clients ask for and leave go on in bounded number") {
  CacheFixture fixture;
  constexpr unsigned kMany = cache::kMostAbandoned + 20;
  std::vector<Blob> blobs;
  for (unsigned i = 0; i < kMany; ++i) blobs.emplace_back(i + 1, 100'000);
  std::vector<Progress> progress(kMany);
  for (unsigned i = 0; i < kMany; ++i) {
    blobs[i].content->limit(1000);
    (void)fixture.start_get(CacheFixture::request(*blobs[i].content, blobs[i].digest), 0, &progress[i]);
  }
  REQUIRE(eventually(
      [&] { return std::ranges::all_of(progress, [](const Progress& p) { return p.received == 1000; }); }));
  CHECK(fixture.metrics.fills_active().value() == kMany);
  fixture.loop(0).cancel_tasks();
  CHECK(eventually([&] { return fixture.metrics.fills_active().value() == cache::kMostAbandoned; }));
  CHECK(fixture.fills(FillResult::kAbandoned) == kMany - cache::kMostAbandoned);
  // With the first that is over there is room for another.
  for (Blob& blob : blobs) blob.content->limit(ScriptedContent::kNoLimit);
  fixture.settle();
  CHECK(fixture.fills(FillResult::kCommitted) == cache::kMostAbandoned);
  CHECK(fixture.has_no_partial_files());
}

TEST_CASE("with complete_abandoned off, the download is dropped with its last client, wherever it stands") {
  for (const Point point : kPoints) {
    INFO("point " << static_cast<int>(point));
    CacheFixture fixture(1, false);
    Held held(fixture, point);
    Progress progress;
    (void)fixture.start_get(fixture.request(*held.content, kDigest), 0, &progress);
    REQUIRE(eventually([&] { return held.is_reached(progress); }));
    fixture.loop(0).cancel_tasks();
    // A verified download is committed all the same: nothing is saved by throwing it away.
    const bool is_verified = point == Point::kSyncing || point == Point::kIndexing;
    if (!is_verified) {
      REQUIRE(eventually([&] { return fixture.fills(FillResult::kAbandoned) == 1; }));
      CHECK(eventually([&] { return held.content->running() == 0; }));
      // Time for a removal of the partial file, which must not come before the file's own making.
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    held.let_go();
    expect_nothing_left(fixture, *held.content);
    CHECK(fixture.is_stored(kDigest) == is_verified);
    const Got again = fixture.get_now(fixture.request(*held.content, kDigest));
    CHECK(again.is_whole(kBytes));
    CHECK(again.how == (is_verified ? CacheResult::kHit : CacheResult::kMiss));
  }
}

TEST_CASE("with complete_abandoned off, the download goes on for whoever stays") {
  CacheFixture fixture(2, false);
  auto content = ScriptedContent::of(kBytes);
  content->limit(100'000);
  Progress first;
  Progress second;
  (void)fixture.start_get(fixture.request(*content, kDigest), 0, &first);
  REQUIRE(eventually([&] { return first.received == 100'000; }));
  auto stays = fixture.start_get(fixture.request(*content, kDigest), 1, &second);
  REQUIRE(eventually([&] { return second.received == 100'000; }));
  fixture.loop(0).cancel_tasks();
  content->limit(ScriptedContent::kNoLimit);
  CHECK(LoopThread::wait_for(std::move(stays)).is_whole(kBytes));
  expect_nothing_left(fixture, *content);
  CHECK(content->opens() == 1);
}

TEST_CASE("the process ends in the middle of a download: no file is left, the next start fetches anew") {
  for (const Point point : kPoints) {
    INFO("point " << static_cast<int>(point));
    CacheFixture fixture;
    Held held(fixture, point);
    Progress progress;
    (void)fixture.start_get(fixture.request(*held.content, kDigest), 0, &progress);
    REQUIRE(eventually([&] { return held.is_reached(progress); }));
    // The loop's end waits for what is offloaded; what is not is cancelled before.
    fixture.loop(0).cancel_tasks();
    std::thread later([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(30));
      fixture.files.release();
    });
    fixture.close();
    later.join();
    CHECK(fixture.metrics.fills_active().value() == 0);
    CHECK(fixture.metrics.fill_readers().value() == 0);
    CHECK(held.content->running() == 0);
    held.let_go();
    fixture.open();
    CHECK(entries_in(fixture.path() + "/fills") == 0);
    CHECK(fixture.get_now(fixture.request(*held.content, kDigest)).is_whole(kBytes));
  }
}

TEST_CASE("clients that come and go at any moment, on four loops, leave a sound store") {
  const bool complete_abandoned = GENERATE(true, false);
  CAPTURE(complete_abandoned);
  CacheFixture fixture(4, complete_abandoned);
  auto content = ScriptedContent::of(kBytes);
  content->set_piece(20'000);
  for (unsigned round = 0; round < 40; ++round) {
    for (unsigned i = 0; i < 8; ++i)
      (void)fixture.start_get(fixture.request(*content, kDigest), (i + round) % 4);
    std::this_thread::sleep_for(std::chrono::microseconds(150 * (round % 13)));
    for (unsigned i = 0; i < 4; ++i) fixture.loop((i + round) % 4).cancel_tasks();
  }
  CHECK(fixture.get_now(fixture.request(*content, kDigest), 3).is_whole(kBytes));
  expect_nothing_left(fixture, *content);
  CHECK(fixture.is_stored(kDigest));
}

TEST_CASE("a fill that was given up takes no more readers") {
  cache::FillState fill({.registry = scope_of("a").registry, .digest = kDigest}, scope_of("a"),
                        cache::ContentKind::kBlob);
  CHECK(fill.add_reader());
  CHECK_FALSE(fill.give_up());
  fill.remove_reader();
  CHECK(fill.give_up());
  CHECK_FALSE(fill.add_reader());
}
