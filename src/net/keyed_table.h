// What loops share, by key: a sharded map from keys to shared values. A value that tasks wait for
// carries its own Signal. No lock is held across a suspension, since no call here suspends.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>

namespace layover::net {

/// Thread-safe.
template <typename Key, typename Value, typename Hash = std::hash<Key>>
class KeyedTable {
 public:
  using Pointer = std::shared_ptr<Value>;

  /// Null if there is none.
  Pointer find(const Key& key) const {
    Shard& shard = shard_of(key);
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.values.find(key);
    return found == shard.values.end() ? nullptr : found->second;
  }

  /// The value of `key` and whether `make()` made it just now; `make` runs under the shard's lock and
  /// may return null to insert nothing.
  template <typename Make>
  std::pair<Pointer, bool> find_or_insert(const Key& key, Make make) {
    Shard& shard = shard_of(key);
    const std::lock_guard lock(shard.mutex);
    if (const auto found = shard.values.find(key); found != shard.values.end()) return {found->second, false};
    Pointer value = make();
    if (value == nullptr) return {nullptr, false};
    shard.values.emplace(key, value);
    return {std::move(value), true};
  }

  void put(const Key& key, Pointer value) {
    Shard& shard = shard_of(key);
    const std::lock_guard lock(shard.mutex);
    shard.values.insert_or_assign(key, std::move(value));
  }

  /// Removes `key` if it still has that value.
  void erase(const Key& key, const Pointer& value) {
    Shard& shard = shard_of(key);
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.values.find(key);
    if (found != shard.values.end() && found->second == value) shard.values.erase(found);
  }

  /// Runs `change(Pointer&)` under the shard's lock, on null where there is no value; what it leaves there is
  /// the value from then on, and null removes it. Gives what it returns.
  template <typename Change>
  auto update(const Key& key, Change change) {
    Shard& shard = shard_of(key);
    const std::lock_guard lock(shard.mutex);
    const auto entry = shard.values.try_emplace(key).first;
    auto result = change(entry->second);
    if (entry->second == nullptr) shard.values.erase(entry);
    return result;
  }

  /// Removes every entry for which `is_stale(value)`: how bounded tables stay bounded.
  template <typename Predicate>
  void erase_if(Predicate is_stale) {
    for (Shard& shard : shards_) {
      const std::lock_guard lock(shard.mutex);
      std::erase_if(shard.values, [&](const auto& entry) { return is_stale(*entry.second); });
    }
  }

  std::size_t size() const {
    std::size_t total = 0;
    for (Shard& shard : shards_) {
      const std::lock_guard lock(shard.mutex);
      total += shard.values.size();
    }
    return total;
  }

 private:
  static constexpr std::size_t kShards = 16;
  struct Shard {
    std::mutex mutex;
    std::unordered_map<Key, Pointer, Hash> values;
  };

  Shard& shard_of(const Key& key) const { return shards_[Hash{}(key) % kShards]; }

  mutable std::array<Shard, kShards> shards_;
};

}  // namespace layover::net
