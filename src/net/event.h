// A wake-up between two tasks of one loop: one waits, the other notifies. A notification with nobody
// waiting is kept for the next wait.
#pragma once

#include <coroutine>
#include <utility>

#include "net/wait.h"

namespace layover::net {

/// One loop only; one waiter at a time.
class Event {
 public:
  class EventWait final : private Wait {
   public:
    explicit EventWait(Event& event) : event_(event) {}
    ~EventWait() override {
      if (event_.waiter_ == this) event_.waiter_ = nullptr;
    }

    bool await_ready() const { return std::exchange(event_.is_set_, false); }
    void await_suspend(std::coroutine_handle<> coroutine) {
      event_.waiter_ = this;
      suspend(*Loop::current(), coroutine, Deadline::never());
    }
    void await_resume() const {}

   private:
    friend class Event;
    Event& event_;
  };

  /// `co_await event.wait()`.
  EventWait wait() { return EventWait(*this); }

  void notify() {
    if (waiter_ != nullptr) {
      std::exchange(waiter_, nullptr)->wake();
    } else {
      is_set_ = true;
    }
  }

 private:
  EventWait* waiter_ = nullptr;
  bool is_set_ = false;
};

}  // namespace layover::net
