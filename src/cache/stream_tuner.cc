// Doubling, and back where that brings too little.
#include "cache/stream_tuner.h"

#include <algorithm>

namespace layover::cache {

namespace {

/// A rest that comes within this time anyway is not worth another stream.
constexpr double kWorthwhile = 1.0;
/// Bytes per second. A connection that brings more is not held back by upstream or by its distance.
constexpr double kFastEnough = 24.0 * (1U << 20);
/// Of what twice the streams could bring at best.
constexpr double kEnoughGain = 0.4;
/// New streams take some round trips to come up to speed: they are measured from the second interval on.
constexpr unsigned kWarmUp = 1;
constexpr unsigned kMeasured = 1;
constexpr std::chrono::seconds kAfterFailure{3};

}  // namespace

unsigned StreamTuner::sample(std::uint64_t received, std::uint64_t missing, Deadline::Clock::time_point now) {
  ++samples_;
  if (samples_ <= kWarmUp) {
    received_ = received;
    measured_since_ = now;
    return target_;
  }
  const double seconds = std::chrono::duration<double>(now - measured_since_).count();
  if (seconds <= 0) return target_;
  const double rate = static_cast<double>(received - received_) / seconds;
  const bool is_trial = target_ > before_;
  if (is_trial && samples_ < kWarmUp + kMeasured) return target_;
  if (is_trial) {
    const double hoped = static_cast<double>(target_) / before_ - 1;
    const bool is_worth_it = rate >= rate_before_ * (1 + kEnoughGain * hoped);
    if (!is_worth_it) {
      target_ = before_;
      samples_ = 0;
      next_trial_ = now + kAfterFailure;
      return target_;
    }
    before_ = target_;
  }
  const bool is_slow = rate < kFastEnough * target_;
  const bool is_worth_more = is_slow && static_cast<double>(missing) > rate * kWorthwhile;
  if (is_worth_more && now >= next_trial_ && target_ < most_) {
    rate_before_ = rate;
    target_ = std::min(most_, target_ * 2);
  }
  samples_ = 0;
  return target_;
}

void StreamTuner::limit_to(unsigned streams) {
  most_ = std::max(1U, std::min(most_, streams));
  target_ = std::min(target_, most_);
  before_ = std::min(before_, target_);
}

}  // namespace layover::cache
