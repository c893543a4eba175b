// Doubling, and back where that brings too little.
#include "cache/stream_tuner.h"

#include <algorithm>
#include <utility>

namespace layover::cache {

namespace {

/// A rest that comes within this time anyway is not worth another stream.
constexpr double kWorthwhile = 1.0;
/// Bytes per second. What holds back a connection that brings more is rather this machine.
constexpr double kFastEnough = 24.0 * (1U << 20);
/// Of what twice the streams could bring at best.
constexpr double kEnoughGain = 0.4;
/// New streams take some round trips to come up to speed: they are measured from the second interval on.
constexpr unsigned kWarmUp = 1;
constexpr std::chrono::seconds kAfterFailure{3};

/// An upstream that has paused, or has just begun, is not one that is slow.
bool is_steady(double rate, double before) {
  return rate > 0 && before > 0 && rate < 2 * before && before < 2 * rate;
}

}  // namespace

unsigned StreamTuner::sample(std::uint64_t received, std::uint64_t missing, Deadline::Clock::time_point now) {
  const double seconds = std::chrono::duration<double>(now - last_sample_).count();
  const double rate = seconds > 0 ? static_cast<double>(received - last_received_) / seconds : 0;
  const double rate_before = std::exchange(last_rate_, rate);
  last_received_ = received;
  last_sample_ = now;
  if (++samples_ <= kWarmUp) return target_;

  const bool is_trial = target_ > before_;
  if (is_trial) judge_trial(rate, now);
  const bool may_grow = is_trial ? target_ == before_ : is_steady(rate, rate_before);
  if (may_grow && now >= next_trial_ && is_worth_more(rate, missing)) {
    rate_before_ = rate;
    target_ = std::min(most_, target_ * 2);
    samples_ = 0;
  }
  return target_;
}

void StreamTuner::judge_trial(double rate, Deadline::Clock::time_point now) {
  const double hoped = static_cast<double>(target_) / before_ - 1;
  const bool is_worth_it = rate >= rate_before_ * (1 + kEnoughGain * hoped);
  if (!is_worth_it) {
    target_ = before_;
    next_trial_ = now + kAfterFailure;
    samples_ = 0;
  }
  before_ = target_;
}

bool StreamTuner::is_worth_more(double rate, std::uint64_t missing) const {
  const bool is_slow = rate < kFastEnough * target_;
  const double seconds_left = static_cast<double>(missing) / rate;
  return target_ < most_ && is_slow && seconds_left > kWorthwhile;
}

void StreamTuner::limit_to(unsigned streams) {
  most_ = std::max(1U, std::min(most_, streams));
  target_ = std::min(target_, most_);
  before_ = std::min(before_, target_);
}

}  // namespace layover::cache
