// The one wall clock. Wall time is only for what is stored or shown; waiting uses Deadline, which is
// monotonic. Injectable, so that tests can move time.
#pragma once

#include <chrono>

namespace layover {

using WallTime = std::chrono::sys_time<std::chrono::milliseconds>;

/// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual WallTime wall_now() const = 0;

  /// The system's clock; lives as long as the process.
  static const Clock& system();
};

}  // namespace layover
