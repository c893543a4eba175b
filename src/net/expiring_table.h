// What loops remember together for a while: a bounded keyed table whose entries end by themselves.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "base/deadline.h"
#include "net/keyed_table.h"

namespace layover::net {

/// Thread-safe. Values are copied in and out. A full table takes nothing new: what is remembered here only
/// saves work.
template <typename Key, typename Value, typename Hash = std::hash<Key>>
class ExpiringTable {
 public:
  explicit ExpiringTable(std::size_t limit) : limit_(limit) {}

  std::optional<Value> find(const Key& key) const {
    const auto entry = entries_.find(key);
    if (!entry || entry->until.has_passed()) return std::nullopt;
    return entry->value;
  }

  /// Whether it was taken. What was there under `key` is gone in any case.
  bool put(const Key& key, Value value, Deadline until) {
    if (entries_.size() >= limit_) sweep();
    if (entries_.size() >= limit_) {
      erase(key);
      return false;
    }
    entries_.put(key, std::make_shared<const Entry>(Entry{.value = std::move(value), .until = until}));
    return true;
  }

  void erase(const Key& key) {
    const auto entry = entries_.find(key);
    if (entry) entries_.erase(key, entry);
  }

 private:
  struct Entry {
    Value value;
    Deadline until;
  };
  using Ticks = Deadline::Clock::duration::rep;
  /// A flood must not make each of its entries look through all others.
  static constexpr std::chrono::seconds kBetweenSweeps{1};

  void sweep() {
    const Ticks now = Deadline::Clock::now().time_since_epoch().count();
    Ticks due = next_sweep_.load(std::memory_order_relaxed);
    const Ticks next = now + Deadline::Clock::duration(kBetweenSweeps).count();
    if (now < due || !next_sweep_.compare_exchange_strong(due, next)) return;
    entries_.erase_if([](const Entry& entry) { return entry.until.has_passed(); });
  }

  const std::size_t limit_;
  std::atomic<Ticks> next_sweep_{0};
  KeyedTable<Key, const Entry, Hash> entries_;
};

}  // namespace layover::net
