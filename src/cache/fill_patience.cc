// The first try comes at once, the others after growing pauses.
#include "cache/fill_patience.h"

#include <array>

#include "base/random.h"

namespace layover::cache {

namespace {

using std::chrono::milliseconds;

constexpr std::array kPauses{milliseconds(0), milliseconds(100), milliseconds(300), milliseconds(1000)};
constexpr milliseconds kLongestPause{2000};
/// Less than this is no progress: an upstream that breaks after each byte would be asked for ever.
constexpr std::uint64_t kProgress = std::uint64_t{64} << 10;
/// An upstream that answers and breaks at the same place each time does so for a reason.
constexpr unsigned kFruitlessAnswers = 3;
/// At least so many, whatever time one of them takes.
constexpr unsigned kFewestTries = 2;

/// Of the errors that are outages: upstream was reached, and what it said is of no use.
bool is_nonsense(const Error& error) {
  return error.code() == ErrorCode::kProtocol || error.code() == ErrorCode::kTls;
}

}  // namespace

std::optional<milliseconds> FillPatience::pause_after(const Error& error, Stage stage,
                                                      std::uint64_t received) {
  // Descriptors that we lack ourselves come back as well.
  const bool may_pass = error.source() == ErrorSource::kUpstream || error.code() == ErrorCode::kOverloaded;
  if (!may_pass || !error.is_outage()) return std::nullopt;
  const auto now = Deadline::Clock::now();
  if (tries_ == 0 || received >= received_ + kProgress) {
    tries_ = 0;
    fruitless_answers_ = 0;
    received_ = received;
    began_ = now;
  }
  const bool is_answer = stage == Stage::kReceiving || is_nonsense(error);
  if (is_answer && ++fruitless_answers_ > kFruitlessAnswers) return std::nullopt;
  if (tries_ >= kFewestTries && now - began_ >= patience_) return std::nullopt;
  const milliseconds pause = tries_ < kPauses.size() ? kPauses[tries_] : kLongestPause;
  ++tries_;
  if (pause.count() == 0) return pause;
  // Many downloads may break at the same moment.
  const auto jitter = Random::system().next() % (static_cast<std::uint64_t>(pause.count()) / 4 + 1);
  return pause + milliseconds(jitter);
}

}  // namespace layover::cache
