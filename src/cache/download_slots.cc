// Counting them.
#include "cache/download_slots.h"

namespace layover::cache {

std::optional<DownloadSlots::Slot> DownloadSlots::try_take() {
  const std::lock_guard lock(mutex_);
  if (taken_ >= most_) return std::nullopt;
  ++taken_;
  return Slot(*this);
}

net::Task<std::optional<DownloadSlots::Slot>> DownloadSlots::take(Deadline deadline) {
  for (;;) {
    const auto seen = freed_->version();
    if (auto slot = try_take()) co_return slot;
    auto changed = co_await freed_->changed(seen, deadline);
    if (!changed) co_return std::nullopt;
  }
}

void DownloadSlots::give_back() {
  {
    const std::lock_guard lock(mutex_);
    --taken_;
  }
  freed_->notify();
}

}  // namespace layover::cache
