// TimerQueue: order, disarming, and arming from inside an expiry.
#include "net/timer_queue.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "tests/support/catch.h"

using layover::Deadline;
using layover::net::Timer;
using layover::net::TimerQueue;
using std::chrono::milliseconds;

namespace {

const auto kStart = Deadline::Clock::time_point{} + std::chrono::hours(1);

Deadline at(int offset) { return Deadline::at(kStart + milliseconds(offset)); }

struct NoteTimer final : Timer {
  NoteTimer(std::vector<int>& into, int value) : order(into), number(value) {}
  void expire() override { order.push_back(number); }
  std::vector<int>& order;
  int number;
};

struct RepeatTimer final : Timer {
  RepeatTimer(TimerQueue& own_queue, int times) : queue(own_queue), left(times) {}
  void expire() override {
    if (--left > 0) queue.arm(*this, at(0));
  }
  TimerQueue& queue;
  int left;
};

}  // namespace

TEST_CASE("timers expire in the order of their deadlines, and only those that are due") {
  TimerQueue queue;
  std::vector<int> order;
  NoteTimer a(order, 30);
  NoteTimer b(order, 10);
  NoteTimer c(order, 20);
  for (NoteTimer* timer : {&a, &b, &c}) queue.arm(*timer, at(timer->number));
  CHECK(queue.next() == at(10));
  queue.expire_due(kStart + milliseconds(20));
  CHECK(order == std::vector<int>{10, 20});
  CHECK(a.is_armed());
  CHECK_FALSE(b.is_armed());
  CHECK(queue.next() == at(30));
}

TEST_CASE("a deadline that is never arms nothing and disarms what was armed") {
  TimerQueue queue;
  std::vector<int> order;
  NoteTimer timer(order, 1);
  queue.arm(timer, at(1));
  queue.arm(timer, Deadline::never());
  CHECK_FALSE(timer.is_armed());
  CHECK(queue.next().is_never());
}

TEST_CASE("arming again moves a timer") {
  TimerQueue queue;
  std::vector<int> order;
  NoteTimer early(order, 1);
  NoteTimer late(order, 2);
  queue.arm(early, at(1));
  queue.arm(late, at(5));
  queue.arm(early, at(9));
  CHECK(queue.next() == at(5));
  queue.expire_due(kStart + milliseconds(10));
  CHECK(order == std::vector<int>{2, 1});
}

TEST_CASE("destroying a timer disarms it; destroying the queue disarms its timers") {
  std::vector<int> order;
  NoteTimer survivor(order, 1);
  {
    TimerQueue queue;
    queue.arm(survivor, at(1));
    {
      NoteTimer gone(order, 2);
      queue.arm(gone, at(0));
    }
    CHECK(queue.next() == at(1));
  }
  CHECK_FALSE(survivor.is_armed());
}

TEST_CASE("a timer may arm itself again while it expires") {
  TimerQueue queue;
  RepeatTimer timer(queue, 5);
  queue.arm(timer, at(0));
  queue.expire_due(kStart);
  CHECK(timer.left == 0);
  CHECK_FALSE(timer.is_armed());
}

TEST_CASE("100 000 timers, armed, moved and disarmed at random, expire in order") {
  constexpr int kTimers = 100'000;
  TimerQueue queue;
  std::vector<int> order;
  order.reserve(kTimers);
  std::mt19937 random(7);  // NOLINT(*-msc51-cpp): a fixed seed
  std::uniform_int_distribution<int> any(0, 1'000'000);
  std::vector<std::unique_ptr<NoteTimer>> timers;
  for (int i = 0; i < kTimers; ++i) {
    timers.push_back(std::make_unique<NoteTimer>(order, any(random)));
    queue.arm(*timers.back(), at(timers.back()->number));
  }
  std::vector<int> expected;
  for (int i = 0; i < kTimers; ++i) {
    NoteTimer& timer = *timers[static_cast<std::size_t>(i)];
    if (i % 3 == 0) {
      timer.disarm();
      continue;
    }
    if (i % 3 == 1) {
      timer.number = any(random);
      queue.arm(timer, at(timer.number));
    }
    expected.push_back(timer.number);
  }
  std::ranges::sort(expected);
  queue.expire_due(kStart + milliseconds(1'000'000));
  CHECK(order == expected);
  CHECK(queue.next().is_never());
}
