// How often, by what went wrong.
#include "upstream/retries.h"

#include <array>

#include "base/random.h"

namespace layover::upstream {

namespace {

using std::chrono::milliseconds;

constexpr std::array kPauses{milliseconds(100), milliseconds(400)};

unsigned most_tries(const Error& error) {
  switch (error.code()) {
    case ErrorCode::kConnect:
    case ErrorCode::kReset:
    case ErrorCode::kShortBody:
    case ErrorCode::kClosed: return kPauses.size();
    // Each of these has taken its time, or is an answer.
    case ErrorCode::kDns:
    case ErrorCode::kTls:
    case ErrorCode::kTimeout: return 1;
    case ErrorCode::kStatus:
      // Who says when to come again is not asked before.
      return error.is_outage() && (error.answer() == nullptr || error.answer()->retry_after.empty()) ? 1 : 0;
    default: return 0;
  }
}

}  // namespace

std::optional<milliseconds> Retries::pause_after(const Error& error, Deadline deadline) {
  if (error.source() != ErrorSource::kUpstream || tries_ >= most_tries(error)) return std::nullopt;
  const milliseconds pause = kPauses[tries_++];
  // Many requests may fail at the same moment.
  const milliseconds jittered = pause + milliseconds(Random::system().next() % 50);
  if (Deadline::after(jittered).instant() >= deadline.instant()) return std::nullopt;
  return jittered;
}

}  // namespace layover::upstream
