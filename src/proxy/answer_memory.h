// How much memory answers may take that are not sent from a file: clients that do not read them must not cost
// all there is.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <utility>

#include "base/bytes.h"

namespace layover::proxy {

/// Of all clients together. Shared by all loops, thread-safe.
class AnswerMemory {
 public:
  static constexpr Bytes kMost = 256_MiB;
  /// Smaller answers do not count: the number of connections bounds them.
  static constexpr Bytes kSmall = 64_KiB;

  /// What one answer takes. Movable; must not outlive the memory.
  class Share {
   public:
    Share(Share&& other) noexcept : memory_(std::exchange(other.memory_, nullptr)), size_(other.size_) {}
    Share& operator=(Share&&) = delete;
    ~Share() {
      if (memory_ != nullptr) memory_->taken_.fetch_sub(size_, std::memory_order_relaxed);
    }

   private:
    friend class AnswerMemory;
    Share(AnswerMemory& memory, std::uint64_t size) : memory_(&memory), size_(size) {}

    AnswerMemory* memory_;  // null once moved from
    std::uint64_t size_;
  };

  /// Nothing where there is not so much left.
  std::optional<Share> take(Bytes size) {
    Share share(*this, size.count);
    if (taken_.fetch_add(size.count, std::memory_order_relaxed) + size.count > kMost.count)
      return std::nullopt;
    return share;
  }

 private:
  std::atomic<std::uint64_t> taken_{0};
};

}  // namespace layover::proxy
