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

  /// Where a try has failed.
  enum class Stage : std::uint8_t { kOpening, kReceiving };

  /// The pause before the next try after `error`, when `received` bytes have come in all; nothing where the
  /// download is to fail with it. An upstream that cannot be reached is worth patience; an answer that makes
  /// no sense, or breaks without having brought anything, a few more tries; a refusal, none.
  std::optional<std::chrono::milliseconds> pause_after(const Error& error, Stage stage,
                                                       std::uint64_t received);

 private:
  const std::chrono::milliseconds patience_;
  unsigned tries_ = 0;
  unsigned fruitless_answers_ = 0;
  std::uint64_t received_ = 0;  // when the tries began
  Deadline::Clock::time_point began_{};
};

}  // namespace layover::cache
