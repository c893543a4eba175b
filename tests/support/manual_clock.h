// A wall clock that a test moves.
#pragma once

#include <atomic>
#include <chrono>

#include "base/clock.h"

namespace layover::test {

/// Thread-safe.
class ManualClock final : public Clock {
 public:
  WallTime wall_now() const override { return WallTime(std::chrono::milliseconds(now_.load())); }
  void advance(std::chrono::milliseconds time) { now_ += time.count(); }

 private:
  std::atomic<std::chrono::milliseconds::rep> now_{1'700'000'000'000};
};

}  // namespace layover::test
