// An instant on the monotonic clock after which waiting is pointless. Waits take deadlines, not
// durations, so that one budget can be handed down through many steps.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>

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
  /// An equal share of the time that is left for each of `parts`, so that the last one gets its turn.
  friend Deadline share_of(Deadline deadline, std::size_t parts) {
    if (parts == 1 || deadline.is_never()) return deadline;
    const auto now = Clock::now();
    return Deadline(now + (deadline.instant_ - now) / static_cast<Clock::rep>(parts));
  }

 private:
  constexpr explicit Deadline(Clock::time_point instant) : instant_(instant) {}

  Clock::time_point instant_;
};

}  // namespace layover
