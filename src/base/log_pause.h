// For a line about what may happen a thousand times a second: when it is time for another one.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <utility>

#include "base/deadline.h"

namespace layover {

/// One thread's at a time.
class LogPause {
 public:
  explicit LogPause(std::chrono::seconds pause = std::chrono::minutes(1)) : pause_(pause) {}

  /// It has happened. How often it has since the last line, where it is time for another; else nothing.
  std::optional<std::uint64_t> count() {
    ++happened_;
    if (next_ && !next_->has_passed()) return std::nullopt;
    next_ = Deadline::after(pause_);
    return std::exchange(happened_, 0);
  }

 private:
  std::chrono::seconds pause_;
  std::optional<Deadline> next_;  // nothing before the first line
  std::uint64_t happened_ = 0;
};

}  // namespace layover
