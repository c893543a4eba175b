// Loop and mailbox: messages from other threads, timers, turns, and a loop's end.
#include "net/loop.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "net/mailbox.h"
#include "net/task_group.h"
#include "net/wait.h"
#include "tests/support/catch.h"
#include "tests/support/test_loop.h"

using layover::Deadline;
using layover::net::Loop;
using layover::net::next_turn;
using layover::net::sleep_until;
using layover::net::Task;
using layover::net::TaskGroup;
using layover::test::eventually;
using layover::test::LoopThread;
using layover::test::TestLoop;
using std::chrono::milliseconds;

namespace {

Task<void> note_after(std::vector<int>& order, int delay) {
  co_await sleep_until(Deadline::after(milliseconds(delay)));
  order.push_back(delay);
}

Task<void> sleep_at(Deadline::Clock::time_point when, std::vector<Deadline::Clock::time_point>& woken) {
  co_await sleep_until(Deadline::at(when));
  woken.push_back(when);
}

Task<void> many_turns(int turns, std::atomic<bool>& is_done) {
  for (int i = 0; i < turns; ++i) co_await next_turn();
  is_done = true;
}

Task<void> turn_once() { co_await next_turn(); }

/// Counts in a shared number how many of them are alive.
struct Counted {
  explicit Counted(std::atomic<int>& number) : alive(&number) { ++*alive; }
  Counted(Counted&& other) noexcept : alive(std::exchange(other.alive, nullptr)) {}
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  Counted& operator=(Counted&&) = delete;
  ~Counted() {
    if (alive != nullptr) --*alive;
  }
  std::atomic<int>* alive;
};

}  // namespace

TEST_CASE("messages of one sender arrive in order, on the loop's thread") {
  LoopThread thread(0);
  std::vector<int> order;
  std::atomic<bool> is_elsewhere{false};
  for (int i = 0; i < 10'000; ++i) {
    thread.mailbox()->post([&order, &is_elsewhere, i, loop = &thread.loop()] {
      order.push_back(i);
      if (Loop::current() != loop) is_elsewhere = true;
    });
  }
  thread.call([] { return 0; });
  REQUIRE(order.size() == 10'000);
  for (int i = 0; i < 10'000; ++i) {
    if (order[static_cast<std::size_t>(i)] != i) FAIL("message " << i << " came out of order");
  }
  CHECK_FALSE(is_elsewhere);
}

TEST_CASE("no message of many senders is lost, however the loop sleeps in between") {
  LoopThread thread(0);
  constexpr int kSenders = 4;
  constexpr int kMessages = 20'000;
  int received = 0;  // the loop's
  std::vector<std::thread> senders;
  for (int s = 0; s < kSenders; ++s) {
    senders.emplace_back([&] {
      for (int i = 0; i < kMessages; ++i) {
        thread.mailbox()->post([&received] { ++received; });
        if (i % 1000 == 0) std::this_thread::yield();
      }
    });
  }
  for (auto& sender : senders) sender.join();
  CHECK(thread.call([&] { return received; }) == kSenders * kMessages);
}

TEST_CASE("a message that posts another is not starved and does not nest") {
  TestLoop loop;
  int depth = 0;
  int deepest = 0;
  int left = 1000;
  std::function<void()> again = [&] {
    deepest = std::max(deepest, ++depth);
    if (--left > 0) loop.loop().mailbox()->post([&] { again(); });
    --depth;
  };
  loop.loop().mailbox()->post([&] { again(); });
  CHECK(loop.run_until([&] { return left == 0; }));
  CHECK(deepest == 1);
}

TEST_CASE("a message to a loop that has ended is refused and freed") {
  std::atomic<int> alive{0};
  std::shared_ptr<layover::net::Mailbox> mailbox;
  {
    Loop loop(0);
    mailbox = loop.mailbox();
  }
  CHECK_FALSE(mailbox->post([counted = Counted(alive)] {}));
  CHECK(alive == 0);
}

TEST_CASE("messages that a loop does not run any more are freed with it") {
  std::atomic<int> alive{0};
  bool has_run = false;
  {
    Loop loop(0);
    CHECK(loop.mailbox()->post([counted = Counted(alive), &has_run] { has_run = true; }));
    CHECK(alive == 1);
  }
  CHECK(alive == 0);
}

TEST_CASE("sleeping tasks wake in the order of their deadlines") {
  TestLoop loop;
  TaskGroup group(loop.loop());
  std::vector<int> order;
  for (const int delay : {30, 5, 20, 10}) group.spawn(note_after(order, delay));
  CHECK(loop.run_until([&] { return order.size() == 4; }));
  CHECK(order == std::vector<int>{5, 10, 20, 30});
}

TEST_CASE("100 000 sleeping tasks wake in order") {
  TestLoop loop;
  TaskGroup group(loop.loop());
  std::vector<Deadline::Clock::time_point> woken;
  const auto start = Deadline::Clock::now();
  unsigned state = 1;
  for (int i = 0; i < 100'000; ++i) {
    state = state * 1664525U + 1013904223U;
    group.spawn(sleep_at(start + std::chrono::microseconds(state % 50'000), woken));
  }
  CHECK(loop.run_until([&] { return group.size() == 0; }));
  CHECK(woken.size() == 100'000);
  // What is due already when a task goes to sleep may wake in any batch; within one, order holds.
  const auto settled = std::ranges::is_sorted_until(woken);
  CHECK(std::ranges::is_sorted(settled, woken.end()));
}

TEST_CASE("a deadline that has passed wakes at once, in the past or not") {
  TestLoop loop;
  TaskGroup group(loop.loop());
  std::vector<int> order;
  group.spawn(note_after(order, -1000));
  group.spawn(note_after(order, 0));
  CHECK(loop.run_until([&] { return order.size() == 2; }));
}

TEST_CASE("a sleeping task that is dropped takes its timer along") {
  TestLoop loop;
  std::vector<int> order;
  {
    TaskGroup group(loop.loop());
    group.spawn(note_after(order, 1));
    loop.run_for(milliseconds(0));
  }
  CHECK(loop.loop().timers().next().is_never());
  loop.run_for(milliseconds(5));
  CHECK(order.empty());
}

TEST_CASE("a task that yields each turn keeps no message waiting") {
  LoopThread thread(0);
  std::atomic<bool> is_done{false};
  thread.mailbox()->post([] {});
  auto ended = thread.start([&] { return many_turns(1'000'000, is_done); });
  for (int i = 0; i < 50; ++i) thread.call([] { return 0; });
  CHECK_FALSE(is_done);
  thread.cancel_tasks();
}

TEST_CASE("a task that is dropped while it yields leaves the loop asleep") {
  TestLoop loop;
  loop.run_for(milliseconds(1));
  {
    TaskGroup group(loop.loop());
    group.spawn(turn_once());
    loop.loop().run_ready();  // up to its suspension
  }
  loop.run_for(milliseconds(1));  // the loop has looked at what is ready
  // 0 would mean that the loop spins from now on (an idle handle that nobody stops).
  CHECK(uv_backend_timeout(loop.loop().uv()) != 0);
}

TEST_CASE("a loop that is stopped can run again") {
  TestLoop loop;
  std::vector<int> order;
  for (int i = 0; i < 3; ++i) {
    loop.loop().mailbox()->post([&order, i] { order.push_back(i); });
    loop.run_for(milliseconds(0));
  }
  CHECK(order == std::vector<int>{0, 1, 2});
}
