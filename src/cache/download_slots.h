// How many downloads of a sort may run at once.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "base/deadline.h"
#include "net/signal.h"
#include "net/task.h"

namespace layover::cache {

/// Shared by all loops; thread-safe; outlives its slots.
class DownloadSlots {
 public:
  explicit DownloadSlots(unsigned most) : most_(most) {}

  /// Given back by its end, on any thread.
  class Slot {
   public:
    Slot(Slot&& other) noexcept : slots_(std::exchange(other.slots_, nullptr)) {}
    Slot& operator=(Slot&&) = delete;
    ~Slot() {
      if (slots_ != nullptr) slots_->give_back();
    }

   private:
    friend class DownloadSlots;
    explicit Slot(DownloadSlots& slots) : slots_(&slots) {}

    DownloadSlots* slots_;  // null once moved from
  };

  /// Nothing where none is free.
  std::optional<Slot> try_take();
  /// Waits for a free one; nothing where there is none by `deadline`.
  net::Task<std::optional<Slot>> take(Deadline deadline);

 private:
  void give_back();

  const unsigned most_;
  std::mutex mutex_;
  unsigned taken_ = 0;
  const std::shared_ptr<net::Signal> freed_ = std::make_shared<net::Signal>();
};

}  // namespace layover::cache
