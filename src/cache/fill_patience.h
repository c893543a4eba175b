// Whether a download whose stream broke should be carried on, and after which pause. Pure but for the clock
// and the jitter.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "base/deadline.h"
#include "base/error.h"

namespace layover::cache {

/// Owned by one download; lives on its loop.
class FillPatience {
 public:
  /// `patience`: how long upstream is asked again without progress.
  explicit FillPatience(std::chrono::milliseconds patience) : patience_(patience) {}

  /// The pause before the next try after `error`, when `received` bytes have come in all; nothing where the
  /// download is to fail with it. Trouble on the way to upstream is worth patience; an answer that makes no
  /// sense, two more tries; a refusal, none.
  std::optional<std::chrono::milliseconds> pause_after(const Error& error, std::uint64_t received);

 private:
  const std::chrono::milliseconds patience_;
  unsigned tries_ = 0;
  std::uint64_t received_ = 0;  // when the tries began
  Deadline::Clock::time_point began_{};
};

}  // namespace layover::cache
