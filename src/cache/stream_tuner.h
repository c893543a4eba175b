// How many streams a download is worth: more where a connection is slow, as long as they add throughput.
// Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>

#include "base/deadline.h"

namespace layover::cache {

/// Owned by one download; lives on its loop.
class StreamTuner {
 public:
  /// How often to call sample().
  static constexpr std::chrono::milliseconds kInterval{200};

  explicit StreamTuner(unsigned most);

  /// What has been received in all, and what is missing; gives the number of streams that there should be.
  unsigned sample(std::uint64_t received, std::uint64_t missing, Deadline::Clock::time_point now);
  /// Upstream did not take one more: no more than `streams` from now on.
  void limit_to(unsigned streams);

 private:
  struct Point {
    std::uint64_t received = 0;
    Deadline::Clock::time_point time{};
  };

  static double rate_between(const Point& before, const Point& now);
  bool is_steady() const;
  void judge_trial(double rate, Deadline::Clock::time_point now);
  bool is_worth_more(double rate, std::uint64_t missing) const;

  unsigned most_;
  unsigned target_ = 1;
  unsigned before_ = 1;     // the number of streams before the trial that is under way, else as target_
  double rate_before_ = 0;  // bytes per second with those
  unsigned samples_ = 0;    // of this number of streams
  Point warmed_up_;         // where its measurement began
  std::deque<Point> latest_;
  std::chrono::seconds pause_;  // after a trial that fails
  Deadline::Clock::time_point next_trial_{};
};

}  // namespace layover::cache
