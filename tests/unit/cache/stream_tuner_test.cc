// More streams where they help, and only there: a model of an upstream in place of a network.
#include "cache/stream_tuner.h"

#include <algorithm>
#include <array>
#include <functional>

#include "tests/support/catch.h"

using namespace layover;
using cache::StreamTuner;

namespace {

constexpr double kMega = 1e6;

struct Run {
  double seconds = 0;
  unsigned most = 1;        // streams at once
  double with_several = 0;  // seconds
  unsigned at_the_end = 1;
};

/// Downloads `size` bytes from an upstream that gives `speed(streams)` bytes per second.
Run download(double size, unsigned most, const std::function<double(unsigned)>& speed) {
  StreamTuner tuner(most);
  Run run;
  Deadline::Clock::time_point now{};
  const double step = std::chrono::duration<double>(StreamTuner::kInterval).count();
  unsigned streams = 1;
  for (double received = 0; received < size; received += speed(streams) * step) {
    streams =
        tuner.sample(static_cast<std::uint64_t>(received), static_cast<std::uint64_t>(size - received), now);
    run.most = std::max(run.most, streams);
    now += StreamTuner::kInterval;
    run.seconds += step;
    if (streams > 1) run.with_several += step;
  }
  run.at_the_end = streams;
  return run;
}

}  // namespace

TEST_CASE("an upstream that limits each connection is asked by as many as are allowed") {
  const Run run = download(400 * kMega, 8, [](unsigned streams) { return 10 * kMega * streams; });
  CHECK(run.most == 8);
  CHECK(run.seconds < 8);  // 40 s with one
}

TEST_CASE("where more bring nothing, it goes back to one, and looks again only now and then") {
  const Run run = download(1000 * kMega, 8, [](unsigned) { return 20 * kMega; });
  CHECK(run.most > 1);
  CHECK(run.with_several < run.seconds / 4);
}

TEST_CASE("it stops where the line is full") {
  const Run run =
      download(2000 * kMega, 8, [](unsigned streams) { return std::min(streams * 15.0, 50.0) * kMega; });
  CHECK(run.most <= 8);
  CHECK(run.at_the_end <= 4);
  CHECK(run.seconds < 2000.0 / 40);
}

TEST_CASE("a fast connection is left alone") {
  CHECK(download(4000 * kMega, 8, [](unsigned streams) { return 40 * kMega * streams; }).most == 1);
}

TEST_CASE("what comes within a second is left to one stream") {
  CHECK(download(20 * kMega, 8, [](unsigned streams) { return 20 * kMega * streams; }).most == 1);
}

TEST_CASE("an upstream that pauses is no slow one") {
  int sample = 0;
  const auto pausing = [&sample](unsigned) { return ++sample % 9 == 0 ? 9 * kMega : 0.0; };
  CHECK(download(100 * kMega, 8, pausing).most == 1);
}

TEST_CASE("a limit that lets bursts through is a limit") {
  for (const unsigned every : {2U, 3U, 4U}) {
    unsigned sample = 0;
    const auto bursts = [&](unsigned streams) {
      return sample++ % every == 0 ? 10 * kMega * every * streams : 0;
    };
    const Run run = download(400 * kMega, 8, bursts);
    CAPTURE(every);
    CHECK(run.most == 8);
    CHECK(run.seconds < 14);
  }
}

TEST_CASE("a bad moment does not end what is worth it") {
  int sample = 0;
  const auto uneven = [&sample](unsigned streams) {
    constexpr std::array kShare{1.0, 0.6, 1.3, 1.1, 0.5, 1.2, 1.3};
    return 10 * kMega * streams * kShare.at(static_cast<unsigned>(sample++) % kShare.size());
  };
  const Run run = download(400 * kMega, 8, uneven);
  CHECK(run.most == 8);
  CHECK(run.seconds < 10);
}

TEST_CASE("a refused stream is not tried again") {
  StreamTuner tuner(8);
  Deadline::Clock::time_point now{};
  std::uint64_t received = 0;
  unsigned streams = 1;
  for (int i = 0; i < 6; ++i) {
    streams = tuner.sample(received, 1'000'000'000, now);
    received += 2'500'000ULL * streams;
    now += StreamTuner::kInterval;
  }
  REQUIRE(streams > 2);
  tuner.limit_to(2);
  for (int i = 0; i < 40; ++i) {
    CHECK(tuner.sample(received, 1'000'000'000, now) <= 2);
    received += 5'000'000;
    now += StreamTuner::kInterval;
  }
}
