// The common half of every awaitable that waits for an event with a deadline: registers the coroutine,
// is woken once by the event or by the timer, and forgets everything when destroyed.
#pragma once

#include <coroutine>

#include "base/deadline.h"
#include "base/error.h"
#include "net/loop.h"

namespace layover::net {

/// Lives in the frame of the coroutine that awaits it. Derived classes unregister from their event in
/// their own destructor.
class Wait : private Runnable, private Timer {
 public:
  Wait(const Wait&) = delete;
  Wait& operator=(const Wait&) = delete;

 protected:
  Wait() = default;
  ~Wait() override = default;

  /// From await_suspend: the coroutine resumes after wake() or, with timed_out() true, after `deadline`.
  void suspend(Loop& loop, std::coroutine_handle<> coroutine, Deadline deadline) {
    loop_ = &loop;
    coroutine_ = coroutine;
    loop.arm(*this, deadline);
  }
  /// The event has come: puts the coroutine on its loop's ready queue. Loop thread.
  void wake() {
    disarm();
    if (loop_ != nullptr && !is_queued()) loop_->schedule(*this);
  }
  bool timed_out() const { return timed_out_; }
  /// Called when the deadline passes, before the coroutine is scheduled.
  virtual void on_timeout() {}

 private:
  void run() final { coroutine_.resume(); }
  void expire() final {
    timed_out_ = true;
    on_timeout();
    wake();
  }

  Loop* loop_ = nullptr;
  std::coroutine_handle<> coroutine_;
  bool timed_out_ = false;
};

/// `co_await sleep_until(deadline)`.
class Sleep final : private Wait {
 public:
  explicit Sleep(Deadline deadline) : deadline_(deadline) {}

  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> coroutine) { suspend(*Loop::current(), coroutine, deadline_); }
  void await_resume() const {}

 private:
  Deadline deadline_;
};

inline Sleep sleep_until(Deadline deadline) { return Sleep(deadline); }

/// `co_await next_turn()`: lets the loop look for other events first.
class NextTurn final : private Runnable {
 public:
  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> coroutine) {
    coroutine_ = coroutine;
    Loop::current()->schedule_next_turn(*this);
  }
  void await_resume() const {}

 private:
  void run() override { coroutine_.resume(); }
  std::coroutine_handle<> coroutine_;
};

inline NextTurn next_turn() { return {}; }

}  // namespace layover::net
