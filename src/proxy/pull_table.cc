// An entry for each layer, so that a request for one finds its pull at once.
#include "proxy/pull_table.h"

#include <functional>
#include <string>
#include <string_view>

namespace layover::proxy {

std::size_t PullTable::hash_of(const net::IpAddress& client, const cache::Scope& scope,
                               const oci::Digest& content) {
  const auto& address = client.bytes();
  const std::string_view name(reinterpret_cast<const char*>(address.data()), address.size());
  return std::hash<oci::Digest>{}(content) ^ (std::hash<std::string_view>{}(name) << 1) ^
         (std::hash<std::string>{}(scope.repository.str()) << 2) ^
         (std::hash<std::string>{}(scope.registry.str()) << 3);
}

void PullTable::note(const net::IpAddress& client, const cache::Scope& scope,
                     const std::shared_ptr<Pull>& pull) {
  const Deadline until = Deadline::after(kKept);
  for (const oci::Descriptor& layer : pull->layers()) {
    layers_.put({.client = client, .scope = scope, .layer = layer.digest}, pull, until);
  }
  last_until_.store(until.instant().time_since_epoch().count(), std::memory_order_relaxed);
}

std::shared_ptr<Pull> PullTable::begin(const net::IpAddress& client, const cache::Scope& scope,
                                       const oci::Digest& layer, Deadline::Clock::time_point now) {
  if (now.time_since_epoch().count() > last_until_.load(std::memory_order_relaxed)) return nullptr;
  const auto pull = layers_.find({.client = client, .scope = scope, .layer = layer});
  return pull && (*pull)->begin() ? *pull : nullptr;
}

}  // namespace layover::proxy
