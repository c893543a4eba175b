// Whether a request that failed is worth another try before its client is told: most trouble on the way to a
// registry is gone a moment later.
#pragma once

#include <chrono>
#include <optional>

#include "base/deadline.h"
#include "base/error.h"

namespace layover::upstream {

/// Of one request without side effects; owned by its task.
class Retries {
 public:
  /// The pause before the next try; nothing where `error` is to be told: it is an answer that will not change
  /// soon, it was tried often enough, or there is no time left until `deadline`.
  std::optional<std::chrono::milliseconds> pause_after(const Error& error, Deadline deadline);

 private:
  unsigned tries_ = 0;
};

}  // namespace layover::upstream
