// Runs tasks from a test: on the test's own thread (TestLoop) or on threads of their own (LoopThread). A
// task that does not end in time fails the test instead of hanging it.
#pragma once

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "net/loop.h"
#include "net/offload.h"
#include "net/task.h"
#include "net/task_group.h"
#include "net/wait.h"

namespace layover::test {

/// Far above what anything here takes, also under a sanitizer on a busy machine.
inline constexpr std::chrono::seconds kPatience{30};

template <typename T>
struct TaskResult;
template <typename T>
struct TaskResult<net::Task<T>> {
  using Type = T;
};
template <typename Make>
using ResultOf = TaskResult<std::invoke_result_t<Make>>::Type;

/// Before the first loop: the pool must be large enough for all classes of work.
inline void prepare_offload() {
  static const bool is_done = [] {
    net::configure_offload(2);
    return true;
  }();
  (void)is_done;
}

/// A loop on the test's thread.
class TestLoop {
 public:
  TestLoop() { prepare_offload(); }

  net::Loop& loop() { return loop_; }

  /// Runs `task` to its end and gives its result.
  template <typename T>
  T run(net::Task<T> task) {
    std::optional<T> result;
    run_group([&](net::TaskGroup& group) { group.spawn(keep(std::move(task), result, loop_)); });
    if (!result) throw std::runtime_error("the task did not end");
    return std::move(*result);
  }
  void run(net::Task<void> task) {
    bool is_done = false;
    run_group([&](net::TaskGroup& group) { group.spawn(mark(std::move(task), is_done, loop_)); });
    if (!is_done) throw std::runtime_error("the task did not end");
  }

  /// Lets the loop run for that long.
  void run_for(std::chrono::milliseconds time) { run(pause(time)); }
  /// Lets the loop run until `is_done()`; false where that takes too long.
  bool run_until(std::function<bool()> is_done) { return run(watch(std::move(is_done))); }

  static net::Task<void> pause(std::chrono::milliseconds time) {
    co_await net::sleep_until(Deadline::after(time));
  }

 private:
  struct Watchdog final : net::Timer {
    explicit Watchdog(net::Loop& on_loop) : loop(on_loop) {}
    void expire() override { loop.stop(); }
    net::Loop& loop;
  };

  template <typename Start>
  void run_group(Start start) {
    net::TaskGroup group(loop_);
    start(group);
    Watchdog watchdog(loop_);
    loop_.arm(watchdog, Deadline::after(kPatience));
    loop_.run();
  }

  template <typename T>
  static net::Task<void> keep(net::Task<T> task, std::optional<T>& out, net::Loop& loop) {
    out.emplace(co_await std::move(task));
    loop.stop();
  }
  static net::Task<void> mark(net::Task<void> task, bool& out, net::Loop& loop) {
    co_await std::move(task);
    out = true;
    loop.stop();
  }
  static net::Task<bool> watch(std::function<bool()> is_done) {
    const auto deadline = Deadline::after(kPatience);
    while (!is_done()) {
      if (deadline.has_passed()) co_return false;
      co_await net::sleep_until(Deadline::after(std::chrono::milliseconds(2)));
    }
    co_return true;
  }

  net::Loop loop_{0};
};

/// A loop on a thread of its own. Used by the test's thread.
class LoopThread {
 public:
  explicit LoopThread(unsigned index) {
    prepare_offload();
    auto ready = std::make_shared<std::promise<void>>();
    auto is_ready = ready->get_future();
    thread_ = std::thread([this, index, ready] {
      loop_ = std::make_unique<net::Loop>(index);
      tasks_ = std::make_unique<net::TaskGroup>(*loop_);
      mailbox_ = loop_->mailbox();
      ready->set_value();
      loop_->run();
      tasks_.reset();
      loop_.reset();
    });
    is_ready.wait();
  }
  LoopThread(const LoopThread&) = delete;
  LoopThread& operator=(const LoopThread&) = delete;
  ~LoopThread() { stop(); }

  /// Ends the loop, cancels its tasks, and waits for its thread.
  void stop() {
    if (!thread_.joinable()) return;
    mailbox_->post([this] { loop_->stop(); });
    thread_.join();
  }

  /// On the loop's thread only, but for what is thread-safe.
  net::Loop& loop() { return *loop_; }
  const std::shared_ptr<net::Mailbox>& mailbox() const { return mailbox_; }

  /// Runs `function` on the loop's thread and gives its result.
  template <typename Function>
  auto call(Function function) {
    using Value = std::invoke_result_t<Function>;
    auto task = std::make_shared<std::packaged_task<Value()>>(std::move(function));
    auto result = task->get_future();
    mailbox_->post([task] { (*task)(); });
    return result.get();
  }

  /// Starts, on the loop, the task that `make` makes there.
  template <typename Make>
  std::future<ResultOf<Make>> start(Make make) {
    auto promise = std::make_shared<std::promise<ResultOf<Make>>>();
    auto result = promise->get_future();
    mailbox_->post([this, make = std::move(make), promise]() mutable {
      tasks_->spawn(fulfil(make(), std::move(promise)));
    });
    return result;
  }
  template <typename Make>
  ResultOf<Make> run(Make make) {
    return wait_for(start(std::move(make)));
  }
  /// Destroys all tasks that were started and have not ended.
  void cancel_tasks() {
    call([this] {
      tasks_ = nullptr;
      tasks_ = std::make_unique<net::TaskGroup>(*loop_);
    });
  }

  template <typename T>
  static T wait_for(std::future<T> result) {
    if (result.wait_for(kPatience) != std::future_status::ready) {
      throw std::runtime_error("the task did not end");
    }
    return result.get();
  }

 private:
  template <typename T>
  static net::Task<void> fulfil(net::Task<T> task, std::shared_ptr<std::promise<T>> promise) {
    if constexpr (std::is_void_v<T>) {
      co_await std::move(task);
      promise->set_value();
    } else {
      promise->set_value(co_await std::move(task));
    }
  }

  std::unique_ptr<net::Loop> loop_;
  std::unique_ptr<net::TaskGroup> tasks_;
  std::shared_ptr<net::Mailbox> mailbox_;
  std::thread thread_;
};

/// Looks every few milliseconds whether `is_done()`; false where that takes too long.
template <typename Predicate>
bool eventually(Predicate is_done, std::chrono::milliseconds patience = kPatience) {
  const auto deadline = Deadline::after(patience);
  while (!is_done()) {
    if (deadline.has_passed()) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

}  // namespace layover::test
