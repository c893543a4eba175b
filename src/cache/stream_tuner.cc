// In large steps, and back where one brings too little.
#include "cache/stream_tuner.h"

#include <algorithm>
#include <array>

namespace layover::cache {

namespace {

/// A rest that comes within this time anyway is not worth another stream.
constexpr double kWorthwhile = 1.0;
/// Bytes per second. What holds back a connection that brings more is rather this machine.
constexpr double kFastEnough = 24.0 * (1U << 20);
/// Each step takes half a second to prove itself: few large ones are better than many small ones.
constexpr unsigned kGrowth = 4;
/// Of what the further streams could bring at best.
constexpr double kEnoughGain = 0.4;
/// New streams take some round trips to come up to speed: they are measured from the second interval on.
constexpr unsigned kWarmUp = 1;
/// A trial succeeds as soon as it shows enough, and fails after so many samples: a busy machine has bad
/// moments.
constexpr unsigned kTrial = 5;
constexpr std::chrono::seconds kFirstPause{1};
constexpr std::chrono::seconds kLongestPause{16};

/// In samples. Who limits a connection's speed may send in bursts (nginx: two a second).
constexpr std::array<std::size_t, 3> kWindows{1, 2, 4};

bool are_alike(double a, double b) {
  constexpr double kAlike = 2.5;
  return a > 0 && b > 0 && a < kAlike * b && b < kAlike * a;
}

}  // namespace

StreamTuner::StreamTuner(unsigned most) : most_(most), pause_(kFirstPause) {}

double StreamTuner::rate_between(const Point& before, const Point& now) {
  const double seconds = std::chrono::duration<double>(now.time - before.time).count();
  return seconds > 0 ? static_cast<double>(now.received - before.received) / seconds : 0;
}

unsigned StreamTuner::sample(std::uint64_t received, std::uint64_t missing, Deadline::Clock::time_point now) {
  const Point here{.received = received, .time = now};
  latest_.push_back(here);
  if (latest_.size() > 2 * kWindows.back() + 1) latest_.pop_front();
  if (++samples_ <= kWarmUp) {
    warmed_up_ = here;
    return target_;
  }
  const double average = rate_between(warmed_up_, here);
  const bool is_trial = target_ > before_;
  if (is_trial) judge_trial(average, now);
  const bool may_grow = is_trial ? target_ == before_ : is_steady();
  if (may_grow && now >= next_trial_ && is_worth_more(average, missing)) {
    rate_before_ = average;
    target_ = std::min(most_, target_ * kGrowth);
    samples_ = 0;
  }
  return target_;
}

// An upstream that has paused, or has just begun, is not one that is slow.
bool StreamTuner::is_steady() const {
  return std::ranges::any_of(kWindows, [this](std::size_t window) {
    if (latest_.size() < 2 * window + 1) return false;
    const auto ago = [this](std::size_t samples) { return latest_[latest_.size() - 1 - samples]; };
    return are_alike(rate_between(ago(window), ago(0)), rate_between(ago(2 * window), ago(window)));
  });
}

void StreamTuner::judge_trial(double rate, Deadline::Clock::time_point now) {
  const double hoped = static_cast<double>(target_) / before_ - 1;
  if (rate >= rate_before_ * (1 + kEnoughGain * hoped)) {
    before_ = target_;
    pause_ = kFirstPause;
  } else if (samples_ >= kTrial) {
    target_ = before_;
    next_trial_ = now + pause_;
    pause_ = std::min(pause_ * 2, kLongestPause);
    samples_ = 0;
  }
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
