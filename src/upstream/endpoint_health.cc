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
  if (!outage_ || !outage_->until.has_passed()) return false;
  outage_->until = Deadline::after(kOutagePause);
  return true;
}

void EndpointHealth::note_outage(const Error& outage) {
  const std::lock_guard lock(mutex_);
  if (!outage_) {
    log_warning("{} seems to be down, {}: {}", name_, consequence_, outage.describe());
  }
  outage_ = Remembered{.error = outage, .until = Deadline::after(kOutagePause)};
  is_down_.store(true, std::memory_order_relaxed);
}

void EndpointHealth::note_answer() {
  if (!is_down()) return;
  const std::lock_guard lock(mutex_);
  if (!outage_) return;
  outage_.reset();
  is_down_.store(false, std::memory_order_relaxed);
  log_info("{} answers again", name_);
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
