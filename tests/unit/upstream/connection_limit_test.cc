// max_connections: turns in order, on any loop, and no share that is lost.
#include "upstream/connection_limit.h"

#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <vector>

#include "tests/support/catch.h"
#include "tests/support/test_loop.h"

using namespace layover;
using namespace layover::test;
using upstream::ConnectionLimit;
using Taken = Result<ConnectionLimit::Share>;

namespace {

net::Task<int> nothing() { co_return 0; }

std::future<Taken> take_on(LoopThread& loop, const std::shared_ptr<ConnectionLimit>& limit,
                           Deadline deadline = Deadline::never()) {
  auto taken = loop.start([limit, deadline] { return limit->take(deadline); });
  loop.run(nothing);  // begun after it: it waits by now, or has its share
  return taken;
}

net::Task<void> take_and_drop(std::shared_ptr<ConnectionLimit> limit) {
  co_await limit->take(Deadline::never());
}

bool has_ended(const std::future<Taken>& taken) {
  return taken.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
}

}  // namespace

TEST_CASE("who waits longest for a connection has its turn first, on whatever loop") {
  LoopThread first(0);
  LoopThread second(1);
  const auto limit = std::make_shared<ConnectionLimit>(2, "r.test");
  std::vector<Taken> shares;
  shares.push_back(LoopThread::wait_for(take_on(first, limit)));
  shares.push_back(LoopThread::wait_for(take_on(second, limit)));
  std::vector<std::future<Taken>> waiting;
  for (LoopThread* loop : {&second, &first, &second}) waiting.push_back(take_on(*loop, limit));
  for (std::size_t i = 0; i < waiting.size(); ++i) {
    for (std::size_t later = i; later < waiting.size(); ++later) CHECK_FALSE(has_ended(waiting[later]));
    shares.erase(shares.begin());
    shares.push_back(LoopThread::wait_for(std::move(waiting[i])));
    CHECK(shares.back());
  }
  shares.clear();
  CHECK(LoopThread::wait_for(take_on(first, limit)));
}

TEST_CASE("a spare connection is had only while nobody needs it, and who needs it tells so at once") {
  LoopThread loop(0);
  cache::DownloadSlots slots(cache::Prefetch::kMostAtOnce);
  const auto limit = std::make_shared<ConnectionLimit>(2, "r.test");
  auto slot = loop.run([&slots] { return slots.take(Deadline::never()); });
  const auto prefetch = std::make_shared<cache::Prefetch>(Bytes{1}, std::move(*slot));
  std::optional<Taken> client = LoopThread::wait_for(take_on(loop, limit));
  std::optional<Taken> spare = limit->take_spare(prefetch);
  REQUIRE(*spare);
  CHECK_FALSE(prefetch->should_end());
  const auto none = limit->take_spare(prefetch);
  REQUIRE_FALSE(none);
  CHECK(none.error().code() == ErrorCode::kCancelled);

  auto waiting = take_on(loop, limit);
  CHECK(prefetch->should_end());
  spare.reset();
  const Taken taken = LoopThread::wait_for(std::move(waiting));
  CHECK(taken);
  client.reset();
  // What a client has asked for is no longer in anybody's way.
  spare = limit->take_spare(prefetch);
  REQUIRE(*spare);
  prefetch->note_asked();
  waiting = take_on(loop, limit);
  CHECK_FALSE(prefetch->should_end());
  spare.reset();
  CHECK(LoopThread::wait_for(std::move(waiting)));
}

TEST_CASE(
    "who has waited for a connection until its deadline is told so, and leaves the others their turns") {
  LoopThread loop(0);
  const auto limit = std::make_shared<ConnectionLimit>(1, "r.test");
  std::optional<Taken> share = LoopThread::wait_for(take_on(loop, limit));
  auto late = LoopThread::wait_for(take_on(loop, limit, Deadline::after(std::chrono::milliseconds(1))));
  REQUIRE_FALSE(late);
  CHECK(late.error().code() == ErrorCode::kOverloaded);
  CHECK(late.error().source() == ErrorSource::kSelf);
  CHECK(late.error().message() ==
        "all of the 1 connections that r.test may have (max_connections) stayed in use");
  auto next = take_on(loop, limit);
  share.reset();
  CHECK(LoopThread::wait_for(std::move(next)));
}

TEST_CASE("a share that comes to a task which has just been cancelled goes on to the next one") {
  LoopThread cancelled(0);
  LoopThread loop(1);
  const auto limit = std::make_shared<ConnectionLimit>(1, "r.test");
  std::optional<Taken> share = LoopThread::wait_for(take_on(loop, limit));
  std::unique_ptr<net::TaskGroup> tasks;
  cancelled.call([&] {
    tasks = std::make_unique<net::TaskGroup>(cancelled.loop());
    tasks->spawn(take_and_drop(limit));
    return 0;
  });
  auto next = take_on(loop, limit);
  cancelled.call([&] {
    share.reset();
    tasks.reset();
    return 0;
  });
  CHECK(LoopThread::wait_for(std::move(next)));
}
