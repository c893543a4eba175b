// One refresh per slot, run apart from the requests that wait for it: each of them has its own deadline.
#include "upstream/tokens.h"

#include <chrono>
#include <utility>

namespace layover::upstream {

namespace {

/// Above this many repositories, slots whose token has expired are swept out.
constexpr std::size_t kSweep = 10'000;
/// Between two refreshes of one slot that nobody was challenged to make.
constexpr std::chrono::seconds kDoubtPause{60};
constexpr std::chrono::seconds kPauseAfterFailure{5};

bool is_good(const Authorization& authorization, const std::string& refused) {
  return !authorization.value.empty() && authorization.value != refused &&
         !authorization.renew_at.has_passed();
}

}  // namespace

void TokenTable::Refreshing::settle(Result<Authorization> result) {
  const auto slot = std::exchange(slot_, nullptr);
  {
    const std::lock_guard lock(slot->mutex);
    slot->is_refreshing = false;
    ++slot->refreshes;
    if (result) {
      slot->authorization = std::move(*result);
      slot->last_failure.reset();
    } else {
      slot->last_failure = std::move(result.error());
      slot->doubted_until = earlier(slot->doubted_until, Deadline::after(kPauseAfterFailure));
    }
  }
  slot->settled->notify();
}

TokenTable::Refreshing::~Refreshing() {
  if (slot_ == nullptr) return;
  settle(failure(ErrorCode::kCancelled, ErrorSource::kSelf, "the token's refresh was given up"));
}

Authorization TokenTable::current(const std::string& key) const {
  const auto slot = slots_.find(key);
  if (!slot) return {};
  const std::lock_guard lock(slot->mutex);
  return is_good(slot->authorization, {}) ? slot->authorization : Authorization{};
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

net::Task<Result<std::string>> TokenTable::renew(std::string key, std::string refused, Why why,
                                                 StartRefresh start, Deadline deadline) {
  const auto slot = slot_of(key);
  std::optional<std::uint64_t> refreshes_before;
  for (;;) {
    const auto seen = slot->settled->version();
    bool must_start = false;
    {
      const std::lock_guard lock(slot->mutex);
      if (is_good(slot->authorization, refused)) co_return slot->authorization.value;
      if (refreshes_before && slot->refreshes != *refreshes_before) {
        if (slot->last_failure) co_return std::unexpected(*slot->last_failure);
        // The same as before, or a token that is about to expire: asking for more of them would not end.
        co_return slot->authorization.value;
      }
      if (why == Why::kInDoubt && !refreshes_before && !slot->is_refreshing) {
        if (!slot->doubted_until.has_passed()) {
          // Whether it is outdated is not known before a refresh has worked.
          if (slot->last_failure) co_return std::unexpected(*slot->last_failure);
          co_return refused;
        }
        slot->doubted_until = Deadline::after(kDoubtPause);
      }
      refreshes_before = slot->refreshes;
      must_start = !std::exchange(slot->is_refreshing, true);
    }
    if (must_start) start(Refreshing(slot));
    auto settled = co_await slot->settled->changed(seen, deadline);
    if (!settled) {
      co_return failure(ErrorCode::kTimeout, ErrorSource::kUpstream, "the token service took too long");
    }
  }
}

}  // namespace layover::upstream
