// How many downloads may go on after their last reader has left: clients that ask and leave must not make
// layover fetch without bound.
#pragma once

#include <atomic>
#include <optional>
#include <utility>

namespace layover::cache {

/// Shared by all loops; thread-safe; outlives its places.
class AbandonedDownloads {
 public:
  static constexpr int kMost = 64;

  /// Given back by its end, on any thread.
  class Place {
   public:
    Place(Place&& other) noexcept : downloads_(std::exchange(other.downloads_, nullptr)) {}
    Place& operator=(Place&&) = delete;
    ~Place() {
      if (downloads_ != nullptr) downloads_->running_.fetch_sub(1, std::memory_order_relaxed);
    }

   private:
    friend class AbandonedDownloads;
    explicit Place(AbandonedDownloads& downloads) : downloads_(&downloads) {}

    AbandonedDownloads* downloads_;  // null once moved from
  };

  /// Nothing where as many are running.
  std::optional<Place> take() {
    Place place(*this);
    if (running_.fetch_add(1, std::memory_order_relaxed) >= kMost) return std::nullopt;
    return place;
  }

 private:
  std::atomic<int> running_{0};
};

}  // namespace layover::cache
