// Signal: no wake-up is lost, none reaches the dead, and at most one per loop is under way.
#include "net/signal.h"

#include <atomic>
#include <future>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "net/task_group.h"
#include "tests/support/catch.h"
#include "tests/support/test_loop.h"

using layover::Deadline;
using layover::ErrorCode;
using layover::net::Loop;
using layover::net::Signal;
using layover::net::Task;
using layover::net::TaskGroup;
using layover::test::eventually;
using layover::test::LoopThread;
using layover::test::TestLoop;
using std::chrono::milliseconds;

namespace {

/// A number that only grows, and the signal that speaks for it: what a fill's front is.
struct Front {
  std::shared_ptr<Signal> changed = std::make_shared<Signal>();
  std::mutex mutex;
  int value = 0;

  void set(int to) {
    {
      const std::lock_guard lock(mutex);
      value = to;
    }
    changed->notify();
  }
  int get() {
    const std::lock_guard lock(mutex);
    return value;
  }
};

/// Follows the front to `last`; -1 where it waits for long in vain.
Task<int> follow(Front& front, int last) {
  int looks = 0;
  for (;;) {
    const auto seen = front.changed->version();
    if (front.get() >= last) co_return looks;
    ++looks;
    auto changed = co_await front.changed->changed(seen, Deadline::after(std::chrono::seconds(30)));
    if (!changed) co_return -1;
  }
}

Task<bool> wait_once(std::shared_ptr<Signal> signal, std::uint64_t seen, milliseconds patience) {
  auto changed = co_await signal->changed(seen, Deadline::after(patience));
  co_return changed.has_value();
}

Task<void> count_wakeups(std::shared_ptr<Signal> signal, std::atomic<int>& count) {
  for (;;) {
    const auto seen = signal->version();
    auto changed = co_await signal->changed(seen, Deadline::never());
    if (changed) ++count;
  }
}

Task<void> wait_and_die(std::shared_ptr<Signal> signal, std::atomic<int>& survived) {
  auto changed = co_await signal->changed(signal->version(), Deadline::never());
  if (changed) ++survived;
}

std::vector<std::unique_ptr<LoopThread>> four_loops() {
  std::vector<std::unique_ptr<LoopThread>> loops;
  for (unsigned i = 0; i < 4; ++i) loops.push_back(std::make_unique<LoopThread>(i));
  return loops;
}

}  // namespace

TEST_CASE("loops of two servers in one process are told apart, whatever their numbers") {
  LoopThread first(0);
  LoopThread second(0);
  const auto signal = std::make_shared<Signal>();
  const auto seen = signal->version();
  std::vector<std::future<bool>> waiting;
  for (LoopThread* loop : {&first, &second}) {
    waiting.push_back(loop->start([&] { return wait_once(signal, seen, layover::test::kPatience); }));
    loop->call([] { return 0; });  // by now it waits
  }
  signal->notify();
  for (auto& wait : waiting) CHECK(LoopThread::wait_for(std::move(wait)));
}

TEST_CASE("a change between the look and the wait does not get lost") {
  TestLoop loop;
  auto signal = std::make_shared<Signal>();
  const auto seen = signal->version();
  signal->notify();
  CHECK(loop.run(wait_once(signal, seen, milliseconds(10'000))));
}

TEST_CASE("without a change the wait ends at its deadline, with kTimeout") {
  TestLoop loop;
  auto signal = std::make_shared<Signal>();
  CHECK_FALSE(loop.run(wait_once(signal, signal->version(), milliseconds(2))));
}

TEST_CASE("a signal lives as long as somebody waits for it") {
  TestLoop loop;
  TaskGroup group(loop.loop());
  auto signal = std::make_shared<Signal>();
  const std::weak_ptr<Signal> observed = signal;
  std::atomic<int> survived{0};
  group.spawn(wait_and_die(std::move(signal), survived));
  loop.run_for(milliseconds(1));
  REQUIRE_FALSE(observed.expired());
  observed.lock()->notify();
  loop.run_for(milliseconds(1));
  CHECK(survived == 1);
  CHECK(observed.expired());
}

TEST_CASE("a loop that is busy gets one message however often the signal is given") {
  LoopThread thread(0);
  auto signal = std::make_shared<Signal>();
  std::atomic<int> woken{0};
  thread.mailbox()->post([] {});
  auto waiting = thread.start([&] { return count_wakeups(signal, woken); });
  // The second call comes in a later turn: then the task waits.
  thread.call([] { return 0; });
  thread.call([] { return 0; });

  std::promise<void> hold;
  thread.mailbox()->post([held = hold.get_future().share()] { held.wait(); });
  for (int i = 0; i < 1000; ++i) signal->notify();
  hold.set_value();
  // The second call is behind whatever the signal has posted.
  thread.call([] { return 0; });
  thread.call([] { return 0; });
  CHECK(woken == 1);
  thread.cancel_tasks();
}

TEST_CASE("all waiters of all loops hear of a change") {
  auto loops = four_loops();
  Front front;
  std::vector<std::future<int>> waiting;
  for (int i = 0; i < 50; ++i) {
    for (auto& loop : loops) waiting.push_back(loop->start([&front] { return follow(front, 1); }));
  }
  for (auto& loop : loops) loop->call([] { return 0; });
  front.set(1);
  for (auto& one : waiting) CHECK(LoopThread::wait_for(std::move(one)) >= 0);
}

TEST_CASE("no wake-up is lost while four loops follow a front that moves fast") {
  auto loops = four_loops();
  constexpr int kSteps = 20'000;
  Front front;
  std::vector<std::future<int>> waiting;
  for (int i = 0; i < 10; ++i) {
    for (auto& loop : loops) waiting.push_back(loop->start([&front] { return follow(front, kSteps); }));
  }
  std::thread mover([&front] {
    for (int step = 1; step <= kSteps; ++step) front.set(step);
  });
  for (auto& one : waiting) CHECK(LoopThread::wait_for(std::move(one)) >= 0);
  mover.join();
}

TEST_CASE("waiters that are dropped while the signal is being given are left alone") {
  auto loops = four_loops();
  auto signal = std::make_shared<Signal>();
  std::atomic<int> survived{0};
  std::atomic<bool> is_over{false};
  std::thread notifier([&] {
    while (!is_over) {
      signal->notify();
      std::this_thread::yield();
    }
  });
  for (int round = 0; round < 100; ++round) {
    for (auto& loop : loops) {
      loop->mailbox()->post([&, raw = &loop->loop()] {
        TaskGroup group(*raw);
        for (int i = 0; i < 4; ++i) group.spawn(wait_and_die(signal, survived));
        raw->run_ready();
      });
    }
  }
  for (auto& loop : loops) loop->call([] { return 0; });
  is_over = true;
  notifier.join();
  SUCCEED("nothing was resumed after its death (the sanitizers look)");
}

TEST_CASE("a wait that times out in the same moment as the change ends once") {
  LoopThread thread(0);
  auto signal = std::make_shared<Signal>();
  std::atomic<bool> is_over{false};
  std::thread notifier([&] {
    while (!is_over) {
      signal->notify();
      std::this_thread::sleep_for(std::chrono::microseconds(900));
    }
  });
  for (int i = 0; i < 200; ++i) {
    (void)thread.run([&] { return wait_once(signal, signal->version(), milliseconds(1)); });
  }
  is_over = true;
  notifier.join();
  SUCCEED("each of the waits ended");
}

TEST_CASE("a signal given to a loop that has ended does nothing") {
  auto signal = std::make_shared<Signal>();
  std::atomic<int> survived{0};
  {
    LoopThread thread(0);
    (void)thread.start([&] { return wait_and_die(signal, survived); });
    thread.call([] { return 0; });
  }
  signal->notify();
  CHECK(survived == 0);
}
