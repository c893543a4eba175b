// What is remembered of a registry's last answers, so that the next request need not find it out again: that
// it is down, that it wants fewer requests, and what it does not have.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/deadline.h"
#include "base/error.h"
#include "metrics/labels.h"
#include "net/expiring_table.h"

namespace layover::upstream {

/// The seconds that a Retry-After header asks for (RFC 9110 10.2.3: a number, or a date after `now`);
/// nothing where it is absent or malformed.
std::optional<std::chrono::seconds> parse_retry_after(std::string_view value, WallTime now);

/// One registry's; shared by all loops, thread-safe.
class RegistryHealth {
 public:
  /// `name` is for the log.
  explicit RegistryHealth(std::string name) : name_(std::move(name)) {}

  /// What a request is spared that has something else to fall back on: the outage that was found last, as
  /// long as it counts. Then one caller at a time gets nothing, and is to find out whether it is over.
  std::optional<Error> spare();
  /// Whether an outage is remembered.
  bool is_down() const { return is_down_.load(std::memory_order_relaxed); }
  void note_outage(const Error& outage);
  /// The registry has answered something.
  void note_answer();

  /// A 429 that still counts for this kind of request, with the seconds that are left.
  std::optional<Error> rate_limit(metrics::Kind kind) const;
  /// `limited` carries the registry's answer.
  void note_rate_limit(metrics::Kind kind, const Error& limited, WallTime now);

  /// The 404 that `request` (its method, path and variant) has had not longer ago than its `ttl`.
  std::optional<Error> not_found(const std::string& request) const;
  void note_not_found(const std::string& request, const Error& answer, std::chrono::milliseconds ttl);

 private:
  struct Remembered {
    Error error;
    Deadline until;
  };
  static constexpr std::size_t kKinds = static_cast<std::size_t>(metrics::Kind::kOther) + 1;

  const std::string name_;
  std::atomic<bool> is_down_{false};
  std::atomic<bool> is_limited_{false};
  mutable std::mutex mutex_;
  std::optional<Remembered> outage_;
  std::array<std::optional<Remembered>, kKinds> limits_;
  static constexpr std::size_t kMissingLimit = 8192;

  net::ExpiringTable<std::string, Error> missing_{kMissingLimit};
};

}  // namespace layover::upstream
