// What is remembered of an endpoint's last answers, so that the next request need not find it out again: that
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

/// One endpoint's; shared by all loops, thread-safe.
class EndpointHealth {
 public:
  /// For the log: who it is, and what becomes of requests while it is down.
  EndpointHealth(std::string name, std::string_view consequence);

  /// What a request is spared that has something else to fall back on: the outage that was found last, as
  /// long as it counts. Then one caller at a time gets nothing, and is to find out whether it is over.
  std::optional<Error> spare();
  /// Whether an outage is remembered.
  bool is_down() const { return is_down_.load(std::memory_order_relaxed); }
  /// The outage that is remembered, however long ago it was found.
  std::optional<Error> outage() const;
  /// True for one caller at a time while an outage has outlasted its pause: to find out whether it is over.
  bool take_probe();
  void note_outage(const Error& outage);
  /// The endpoint has answered something.
  void note_answer();
  /// It has answered a probe, which says little of what it does with requests: one may try.
  void note_probed();
  /// Whether a request may go there: no outage is remembered, or this is the one that may try after a probe.
  /// Where that fails, the next pause is longer.
  bool may_try();

  /// A 429 that still counts for this kind of request, with the seconds that are left.
  std::optional<Error> rate_limit(metrics::Kind kind) const;
  /// `limited` carries the registry's answer.
  void note_rate_limit(metrics::Kind kind, const Error& limited, WallTime now);

  /// The 404 that `request` (its method, path and variant) has had not longer ago than its `ttl`.
  std::optional<Error> not_found(const std::string& request) const;
  void note_not_found(const std::string& request, const Error& answer, std::chrono::milliseconds ttl);

  /// Whether what it gave for `path` a while ago was something else.
  bool gave_wrong(const std::string& path) const { return wrong_.find(path).has_value(); }
  void note_wrong(const std::string& path);

 private:
  struct Remembered {
    Error error;
    Deadline until;
  };
  static constexpr std::size_t kKinds = static_cast<std::size_t>(metrics::Kind::kOther) + 1;

  const std::string name_;
  const std::string consequence_;
  std::atomic<bool> is_down_{false};
  std::atomic<bool> is_limited_{false};
  mutable std::mutex mutex_;
  std::optional<Remembered> outage_;
  std::chrono::seconds pause_;                // of the outage
  bool is_probed_ = false;                    // in the outage, with success
  Deadline trial_until_ = Deadline::at({});   // until then nobody else tries
  Deadline proven_after_ = Deadline::at({});  // an outage before this goes on with the one before
  std::array<std::optional<Remembered>, kKinds> limits_;
  static constexpr std::size_t kMissingLimit = 8192;

  net::ExpiringTable<std::string, Error> missing_{kMissingLimit};
  net::ExpiringTable<std::string, bool> wrong_{kMissingLimit};
};

}  // namespace layover::upstream
