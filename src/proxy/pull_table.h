// Pulls that may be going on: which client has fetched which image manifest lately, by what it will ask for
// next.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/deadline.h"
#include "cache/scope.h"
#include "net/expiring_table.h"
#include "net/ip_address.h"
#include "oci/manifest.h"

namespace layover::proxy {

/// The layers of an image of which not all were here when a client fetched its manifest. Thread-safe.
class Pull {
 public:
  explicit Pull(std::vector<oci::Descriptor> layers) : layers_(std::move(layers)) {}

  const std::vector<oci::Descriptor>& layers() const { return layers_; }
  /// True once: for who asks for the first of the layers.
  bool begin() { return !has_begun_.exchange(true, std::memory_order_relaxed); }

 private:
  const std::vector<oci::Descriptor> layers_;
  std::atomic<bool> has_begun_{false};
};

/// Shared by all loops; thread-safe; bounded.
class PullTable {
 public:
  /// Between an image's manifest and its layers lie round trips, not minutes.
  static constexpr std::chrono::seconds kKept{60};

  static std::size_t hash_of(const net::IpAddress& client, const cache::Scope& scope,
                             const oci::Digest& content);

  void note(const net::IpAddress& client, const cache::Scope& scope, const std::shared_ptr<Pull>& pull);
  /// The pull that the client begins by asking for `layer`; null where it is part of none, or of one that has
  /// begun. Costs next to nothing while no pulls are noted.
  std::shared_ptr<Pull> begin(const net::IpAddress& client, const cache::Scope& scope,
                              const oci::Digest& layer, Deadline::Clock::time_point now);

 private:
  static constexpr std::size_t kLimit = 16384;  // layers

  struct Key {
    net::IpAddress client;
    cache::Scope scope;
    oci::Digest layer;

    friend bool operator==(const Key&, const Key&) = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const noexcept {
      return hash_of(key.client, key.scope, key.layer);
    }
  };
  using Ticks = Deadline::Clock::duration::rep;

  net::ExpiringTable<Key, std::shared_ptr<Pull>, KeyHash> layers_{kLimit};
  std::atomic<Ticks> last_until_{0};  // none is kept longer
};

}  // namespace layover::proxy
