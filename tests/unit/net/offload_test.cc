// Offload: jobs on the pool, in bounded classes, whose results come home to their loop.
#include "net/offload.h"

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "net/task_group.h"
#include "tests/support/catch.h"
#include "tests/support/test_loop.h"

using layover::Deadline;
using layover::net::Loop;
using layover::net::offload;
using layover::net::offload_detached;
using layover::net::offload_until;
using layover::net::Task;
using layover::net::TaskGroup;
using layover::net::Work;
using layover::test::eventually;
using layover::test::LoopThread;
using layover::test::TestLoop;
using std::chrono::milliseconds;

namespace {

/// Holds pool threads until it is opened.
class Barrier {
 public:
  ~Barrier() { open(); }
  void pass() {
    std::unique_lock lock(mutex_);
    ++arrived_;
    opened_.wait(lock, [this] { return is_open_; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    is_open_ = true;
    opened_.notify_all();
  }
  int arrived() {
    const std::lock_guard lock(mutex_);
    return arrived_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable opened_;
  bool is_open_ = false;
  int arrived_ = 0;
};

/// Takes its time to be destroyed.
class SlowToGo {
 public:
  explicit SlowToGo(std::atomic<bool>& is_gone) : is_gone_(&is_gone) {}
  SlowToGo(SlowToGo&& other) noexcept : is_gone_(std::exchange(other.is_gone_, nullptr)) {}
  SlowToGo& operator=(SlowToGo&&) = delete;
  ~SlowToGo() {
    if (is_gone_ == nullptr) return;
    std::this_thread::sleep_for(milliseconds(50));
    *is_gone_ = true;
  }

 private:
  std::atomic<bool>* is_gone_;
};

Task<bool> outlives(SlowToGo held, std::atomic<bool>& is_gone) {
  co_await offload(Work::kDisk, [held = std::move(held)] { return 0; });
  co_return is_gone.load();
}

/// Notes on which thread it is destroyed.
struct Homesick {
  Homesick(std::atomic<std::thread::id>& died_on, std::atomic<int>& deaths)
      : thread(&died_on), count(&deaths) {}
  Homesick(Homesick&& other) noexcept : thread(std::exchange(other.thread, nullptr)), count(other.count) {}
  Homesick(const Homesick&) = delete;
  Homesick& operator=(const Homesick&) = delete;
  Homesick& operator=(Homesick&&) = delete;
  ~Homesick() {
    if (thread == nullptr) return;
    *thread = std::this_thread::get_id();
    ++*count;
  }
  std::atomic<std::thread::id>* thread;
  std::atomic<int>* count;
};

Task<int> square(int value) {
  co_return co_await offload(Work::kCompute, [value] { return value * value; });
}

Task<bool> runs_elsewhere() {
  const auto home = std::this_thread::get_id();
  auto there = co_await offload(Work::kDisk, [] { return std::this_thread::get_id(); });
  co_return there != home&& std::this_thread::get_id() == home;
}

Task<int> move_through(std::unique_ptr<int> value) {
  auto result = co_await offload(Work::kDisk, [moved = std::move(value)]() mutable {
    ++*moved;
    return std::move(moved);
  });
  co_return *result;
}

Task<void> hold_class(Work work, std::shared_ptr<Barrier> barrier) {
  co_await offload(work, [barrier] {
    barrier->pass();
    return 0;
  });
}

Task<void> make_homesick(std::shared_ptr<Barrier> barrier, std::atomic<std::thread::id>& died_on,
                         std::atomic<int>& deaths, std::atomic<bool>& has_resumed) {
  auto result = co_await offload(Work::kDisk, [barrier, &died_on, &deaths] {
    Homesick made(died_on, deaths);
    barrier->pass();
    return made;
  });
  has_resumed = true;
}

Task<std::string> throw_on_the_pool() {
  try {
    const int value =
        co_await offload(Work::kDisk, []() -> int { throw std::runtime_error("thrown on the pool"); });
    co_return std::to_string(value);
  } catch (const std::exception& error) {
    co_return error.what();
  }
}

Task<bool> finishes_in_time(std::shared_ptr<Barrier> barrier, milliseconds patience, std::atomic<int>& deaths,
                            std::atomic<std::thread::id>& died_on) {
  auto result = co_await offload_until(Work::kDisk, Deadline::after(patience), [barrier, &deaths, &died_on] {
    Homesick made(died_on, deaths);
    barrier->pass();
    return made;
  });
  co_return result.has_value();
}

Task<int> many(Work work, int count, std::atomic<int>& running, std::atomic<int>& most) {
  for (int i = 0; i < count; ++i) {
    co_await offload(work, [&running, &most] {
      const int now = ++running;
      int seen = most;
      while (now > seen && !most.compare_exchange_weak(seen, now)) {
      }
      std::this_thread::yield();
      --running;
      return 0;
    });
  }
  co_return count;
}

}  // namespace

TEST_CASE("a job runs on the pool and its task goes on at home") {
  TestLoop loop;
  CHECK(loop.run(square(7)) == 49);
  CHECK(loop.run(runs_elsewhere()));
  CHECK(loop.run(move_through(std::make_unique<int>(1))) == 2);
}

TEST_CASE("what a job holds is gone before its task goes on") {
  TestLoop loop;
  std::atomic<bool> is_gone{false};
  CHECK(loop.run(outlives(SlowToGo(is_gone), is_gone)));
}

TEST_CASE("a class whose jobs all hang keeps no other class waiting") {
  TestLoop loop;
  TaskGroup group(loop.loop());
  auto barrier = std::make_shared<Barrier>();
  for (int i = 0; i < 20; ++i) {
    group.spawn(hold_class(Work::kResolve, barrier));
    group.spawn(hold_class(Work::kSync, barrier));
  }
  REQUIRE(loop.run_until([&] { return barrier->arrived() >= 8; }));
  CHECK(loop.run(square(3)) == 9);
  CHECK(loop.run(move_through(std::make_unique<int>(4))) == 5);
  CHECK(barrier->arrived() == 8);  // four of each class, the rest queued
  barrier->open();
  CHECK(loop.run_until([&] { return group.size() == 0; }));
  CHECK(barrier->arrived() == 40);
}

TEST_CASE("at most a class's bound of its jobs run at once, from four loops") {
  std::vector<std::unique_ptr<LoopThread>> loops;
  for (unsigned i = 0; i < 4; ++i) loops.push_back(std::make_unique<LoopThread>(i));
  std::atomic<int> running{0};
  std::atomic<int> most{0};
  std::vector<std::future<int>> results;
  for (int i = 0; i < 8; ++i) {
    for (auto& loop : loops) {
      results.push_back(loop->start([&] { return many(Work::kIndex, 50, running, most); }));
    }
  }
  for (auto& result : results) CHECK(LoopThread::wait_for(std::move(result)) == 50);
  CHECK(most == 1);  // the index has one writer
}

TEST_CASE("dropping the task detaches from the job, whose result is destroyed on its loop") {
  std::atomic<std::thread::id> died_on{};
  std::atomic<int> deaths{0};
  std::atomic<bool> has_resumed{false};
  auto barrier = std::make_shared<Barrier>();
  LoopThread thread(0);
  const auto home = thread.call([] { return std::this_thread::get_id(); });
  (void)thread.start([&] { return make_homesick(barrier, died_on, deaths, has_resumed); });
  REQUIRE(eventually([&] { return barrier->arrived() == 1; }));
  thread.cancel_tasks();
  CHECK(deaths == 0);
  barrier->open();
  REQUIRE(eventually([&] { return deaths == 1; }));
  CHECK(died_on.load() == home);
  CHECK_FALSE(has_resumed);
}

TEST_CASE("a loop's end waits for its jobs and takes their results") {
  std::atomic<std::thread::id> died_on{};
  std::atomic<int> deaths{0};
  std::atomic<bool> has_resumed{false};
  std::atomic<bool> has_detached_run{false};
  auto barrier = std::make_shared<Barrier>();
  std::thread opener;
  {
    LoopThread thread(0);
    (void)thread.start([&] { return make_homesick(barrier, died_on, deaths, has_resumed); });
    thread.mailbox()->post([&] {
      offload_detached(Work::kSync, [&] {
        barrier->pass();
        has_detached_run = true;
      });
    });
    REQUIRE(eventually([&] { return barrier->arrived() == 2; }));
    opener = std::thread([barrier] {
      std::this_thread::sleep_for(milliseconds(20));
      barrier->open();
    });
  }
  CHECK(deaths == 1);
  CHECK(has_detached_run);
  CHECK_FALSE(has_resumed);
  opener.join();
}

TEST_CASE("tasks that are dropped at any moment of their jobs leave nothing behind") {
  std::atomic<std::thread::id> died_on{};
  std::atomic<int> deaths{0};
  std::atomic<bool> has_resumed{false};
  int made = 0;
  {
    LoopThread thread(0);
    for (int round = 0; round < 200; ++round) {
      auto open = std::make_shared<Barrier>();
      open->open();
      for (int i = 0; i < 5; ++i, ++made) {
        (void)thread.start([&, open] { return make_homesick(open, died_on, deaths, has_resumed); });
      }
      if (round % 7 == 0) std::this_thread::sleep_for(std::chrono::microseconds(round));
      thread.cancel_tasks();
    }
  }
  // Jobs that were submitted have run; tasks that were dropped before their start made none.
  CHECK(deaths <= made);
  CHECK(deaths > 0);
}

TEST_CASE("an exception that leaves a job comes out where the job is awaited") {
  TestLoop loop;
  CHECK(loop.run(throw_on_the_pool()) == "thrown on the pool");
}

TEST_CASE("a job that has not finished at the deadline is detached from; its result still comes home") {
  std::atomic<std::thread::id> died_on{};
  std::atomic<int> deaths{0};
  LoopThread thread(0);
  const auto home = thread.call([] { return std::this_thread::get_id(); });
  auto barrier = std::make_shared<Barrier>();
  CHECK_FALSE(thread.run([&] { return finishes_in_time(barrier, milliseconds(10), deaths, died_on); }));
  CHECK(deaths == 0);
  barrier->open();
  REQUIRE(eventually([&] { return deaths == 1; }));
  CHECK(died_on.load() == home);
  CHECK(thread.run([&] { return finishes_in_time(barrier, milliseconds(20'000), deaths, died_on); }));
}
