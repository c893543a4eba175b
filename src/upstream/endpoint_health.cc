// The pauses, and the bounds of what is kept.
#include "upstream/endpoint_health.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include <fmt/format.h>

#include "base/ascii.h"
#include "base/log.h"

namespace layover::upstream {

namespace {

/// An endpoint that is down is asked again by one request each such time.
constexpr std::chrono::seconds kOutagePause{5};
/// Where it answers probes, and fails what is asked of it then, again and again.
constexpr std::chrono::seconds kLongestPause{60};
/// A request that may try has come to an end by then.
constexpr std::chrono::seconds kTrial{30};
/// Where a 429 does not say how long, and at most, whatever it says: the limit may have been raised.
constexpr std::chrono::seconds kUsualLimit{10};
constexpr std::chrono::seconds kLongestLimit{3600};

/// Who sent wrong bytes is not asked for those again for this long.
constexpr std::chrono::seconds kWrongPause{600};

/// A longer body is not kept; clients are then told in our words.
constexpr std::size_t kKeptBody = 2048;

std::chrono::seconds left_until(Deadline until) {
  return std::max(std::chrono::seconds(1),
                  std::chrono::ceil<std::chrono::seconds>(until.instant() - Deadline::Clock::now()));
}

}  // namespace

std::optional<std::chrono::seconds> parse_retry_after(std::string_view value, WallTime now) {
  value = trim(value);
  if (const auto seconds = parse_decimal<std::uint32_t>(value)) return std::chrono::seconds(*seconds);
  std::tm date{};
  const std::string text(value);
  const char* end = ::strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &date);
  if (end == nullptr || *end != '\0') return std::nullopt;
  const std::chrono::seconds until(::timegm(&date));
  const auto left = until - std::chrono::floor<std::chrono::seconds>(now.time_since_epoch());
  return std::max(left, std::chrono::seconds(0));
}

EndpointHealth::EndpointHealth(std::string name, std::string_view consequence)
    : name_(std::move(name)), consequence_(consequence), pause_(kOutagePause) {}

std::optional<Error> EndpointHealth::spare() { return take_probe() ? std::nullopt : outage(); }

std::optional<Error> EndpointHealth::outage() const {
  if (!is_down()) return std::nullopt;
  const std::lock_guard lock(mutex_);
  if (!outage_) return std::nullopt;
  return outage_->error.within(
      fmt::format("{} is asked again in {} s", name_, left_until(outage_->until).count()));
}

bool EndpointHealth::take_probe() {
  if (!is_down()) return false;
  const std::lock_guard lock(mutex_);
  if (!outage_ || is_probed_ || !outage_->until.has_passed()) return false;
  outage_->until = Deadline::after(kOutagePause);
  return true;
}

void EndpointHealth::note_outage(const Error& outage) {
  const std::lock_guard lock(mutex_);
  const bool goes_on = is_probed_ || (!outage_ && !proven_after_.has_passed());
  if (goes_on) pause_ = std::min(pause_ * 2, kLongestPause);
  if (!outage_ && !goes_on) pause_ = kOutagePause;
  if (!outage_) {
    log_warning("{} seems to be down, {}: {}", name_, consequence_, outage.describe());
  }
  outage_ = Remembered{.error = outage, .until = Deadline::after(pause_)};
  is_probed_ = false;
  is_down_.store(true, std::memory_order_relaxed);
}

void EndpointHealth::note_answer() {
  if (!is_down()) return;
  const std::lock_guard lock(mutex_);
  if (!outage_) return;
  if (is_probed_) proven_after_ = Deadline::after(pause_ * 2);
  is_probed_ = false;
  outage_.reset();
  is_down_.store(false, std::memory_order_relaxed);
  log_info("{} answers again", name_);
}

void EndpointHealth::note_probed() {
  const std::lock_guard lock(mutex_);
  if (!outage_) return;
  is_probed_ = true;
  trial_until_ = Deadline::at({});
}

bool EndpointHealth::may_try() {
  if (!is_down()) return true;
  const std::lock_guard lock(mutex_);
  if (!outage_) return true;
  if (!is_probed_ || !trial_until_.has_passed()) return false;
  trial_until_ = Deadline::after(kTrial);
  return true;
}

std::optional<Error> EndpointHealth::rate_limit(metrics::Kind kind) const {
  if (!is_limited_.load(std::memory_order_relaxed)) return std::nullopt;
  const std::lock_guard lock(mutex_);
  const auto& limit = limits_[static_cast<std::size_t>(kind)];
  if (!limit || limit->until.has_passed()) return std::nullopt;
  UpstreamAnswer answer = *limit->error.answer();
  answer.retry_after = std::to_string(left_until(limit->until).count());
  return limit->error.within(fmt::format("{} is not asked before its rate limit ends", name_))
      .with_answer(std::move(answer));
}

void EndpointHealth::note_rate_limit(metrics::Kind kind, const Error& limited, WallTime now) {
  const auto asked = parse_retry_after(limited.answer()->retry_after, now).value_or(kUsualLimit);
  const auto pause = std::min(asked, kLongestLimit);
  const std::lock_guard lock(mutex_);
  auto& limit = limits_[static_cast<std::size_t>(kind)];
  if (!limit || limit->until.has_passed()) {
    log_warning("{}; it is not asked again for {} s", limited.describe(), pause.count());
  }
  limit = Remembered{.error = limited, .until = Deadline::after(pause)};
  is_limited_.store(true, std::memory_order_relaxed);
}

void EndpointHealth::note_wrong(const std::string& path) {
  log_warning("{} sent bytes that are not {}; it is not asked for that for {} s", name_, path,
              kWrongPause.count());
  wrong_.put(path, true, Deadline::after(kWrongPause));
}

std::optional<Error> EndpointHealth::not_found(const std::string& request) const {
  return missing_.find(request);
}

void EndpointHealth::note_not_found(const std::string& request, const Error& answer,
                                    std::chrono::milliseconds ttl) {
  if (ttl <= std::chrono::milliseconds(0)) return;
  UpstreamAnswer kept = *answer.answer();
  if (kept.body.size() > kKeptBody) kept.body.clear();
  missing_.put(request, answer.with_answer(std::move(kept)), Deadline::after(ttl));
}

}  // namespace layover::upstream
