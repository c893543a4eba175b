// A loop's timers: a binary heap of intrusive entries, so that arming one allocates nothing once the
// heap has grown and disarming costs no search. One loop's thread only.
#pragma once

#include <cstddef>
#include <vector>

#include "base/deadline.h"

namespace layover::net {

class TimerQueue;

/// Disarms itself when destroyed.
class Timer {
 public:
  Timer() = default;
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  virtual ~Timer() { disarm(); }

  virtual void expire() = 0;
  bool is_armed() const { return queue_ != nullptr; }
  inline void disarm();

 private:
  friend class TimerQueue;
  TimerQueue* queue_ = nullptr;
  std::size_t position_ = 0;
  Deadline::Clock::time_point when_;
};

class TimerQueue {
 public:
  TimerQueue() = default;
  TimerQueue(const TimerQueue&) = delete;
  TimerQueue& operator=(const TimerQueue&) = delete;
  ~TimerQueue();

  /// A deadline that is never arms nothing.
  void arm(Timer& timer, Deadline deadline);
  void disarm(Timer& timer);

  Deadline next() const { return heap_.empty() ? Deadline::never() : Deadline::at(heap_.front()->when_); }
  /// Takes out and expires every timer due at `now`.
  void expire_due(Deadline::Clock::time_point now);

 private:
  void place(std::size_t position, Timer* timer);
  void sift_up(std::size_t position);
  void sift_down(std::size_t position);

  std::vector<Timer*> heap_;
};

inline void Timer::disarm() {
  if (queue_ != nullptr) queue_->disarm(*this);
}

}  // namespace layover::net
