// An instant on the monotonic clock after which waiting is pointless. Waits take deadlines, not
// durations, so that one budget can be handed down through many steps.
#pragma once

#include <algorithm>
#include <chrono>

namespace layover {

class Deadline {
 public:
  using Clock = std::chrono::steady_clock;

  static constexpr Deadline never() { return Deadline(Clock::time_point::max()); }
  static Deadline after(Clock::duration delay) { return Deadline(Clock::now() + delay); }
  static constexpr Deadline at(Clock::time_point instant) { return Deadline(instant); }

  constexpr Clock::time_point instant() const { return instant_; }
  constexpr bool is_never() const { return instant_ == Clock::time_point::max(); }
  bool has_passed() const { return !is_never() && Clock::now() >= instant_; }

  friend constexpr Deadline earlier(Deadline a, Deadline b) {
    return Deadline(std::min(a.instant_, b.instant_));
  }
  friend constexpr bool operator==(Deadline, Deadline) = default;

 private:
  constexpr explicit Deadline(Clock::time_point instant) : instant_(instant) {}

  Clock::time_point instant_;
};

}  // namespace layover
