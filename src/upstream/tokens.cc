// One refresh per slot. A refresher whose task is dropped leaves the refresh to one of those who wait.
#include "upstream/tokens.h"

#include <utility>

namespace layover::upstream {

namespace {

/// Above this many repositories, slots whose token has expired are swept out.
constexpr std::size_t kSweep = 10'000;

bool is_good(const Authorization& authorization, const std::string& refused) {
  return !authorization.value.empty() && authorization.value != refused &&
         !authorization.renew_at.has_passed();
}

}  // namespace

/// The right to refresh a slot: given up in any case.
class TokenTable::Refreshing {
 public:
  explicit Refreshing(Slot& slot) : slot_(slot) {}
  Refreshing(const Refreshing&) = delete;
  Refreshing& operator=(const Refreshing&) = delete;
  ~Refreshing() {
    {
      const std::lock_guard lock(slot_.mutex);
      slot_.is_refreshing = false;
    }
    slot_.settled->notify();
  }

 private:
  Slot& slot_;
};

std::string TokenTable::current(const std::string& key) const {
  const auto slot = slots_.find(key);
  if (!slot) return {};
  const std::lock_guard lock(slot->mutex);
  return is_good(slot->authorization, {}) ? slot->authorization.value : std::string();
}

std::shared_ptr<TokenTable::Slot> TokenTable::slot_of(const std::string& key) {
  if (slots_.size() > kSweep) {
    slots_.erase_if([](Slot& slot) {
      const std::lock_guard lock(slot.mutex);
      return !slot.is_refreshing && !is_good(slot.authorization, {});
    });
  }
  return slots_.find_or_insert(key, [] { return std::make_shared<Slot>(); }).first;
}

net::Task<Result<std::string>> TokenTable::renew(std::string key, std::string refused, const Refresh& refresh,
                                                 Deadline deadline) {
  const auto slot = slot_of(key);
  std::uint64_t failures_seen = 0;
  for (bool has_waited = false;; has_waited = true) {
    const auto seen = slot->settled->version();
    {
      const std::lock_guard lock(slot->mutex);
      if (is_good(slot->authorization, refused)) co_return slot->authorization.value;
      if (has_waited && slot->failures != failures_seen && slot->last_failure) {
        co_return std::unexpected(*slot->last_failure);
      }
      failures_seen = slot->failures;
      if (!slot->is_refreshing) {
        slot->is_refreshing = true;
        break;
      }
    }
    auto settled = co_await slot->settled->changed(seen, deadline);
    if (!settled) {
      co_return failure(ErrorCode::kTimeout, ErrorSource::kUpstream, "the token service took too long");
    }
  }
  const Refreshing refreshing(*slot);
  auto authorization = co_await refresh();
  const std::lock_guard lock(slot->mutex);
  if (!authorization) {
    ++slot->failures;
    slot->last_failure = authorization.error();
    co_return std::unexpected(authorization.error());
  }
  slot->authorization = std::move(*authorization);
  co_return slot->authorization.value;
}

}  // namespace layover::upstream
