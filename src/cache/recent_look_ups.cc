// Full, it begins anew: what is asked for often is back at once.
#include "cache/recent_look_ups.h"

#include <utility>

namespace layover::cache {

namespace {

constexpr std::size_t kMostEntries = 4096;
constexpr std::size_t kMostBytes = std::size_t{4} << 20;

std::size_t bytes_of(const Stored& stored) { return stored.small ? stored.small->size() : 0; }

}  // namespace

std::shared_ptr<const Stored> RecentLookUps::find(std::uint64_t version, const Scope& scope,
                                                  const oci::Digest& digest, ContentKind kind) const {
  const auto found = entries_.find(digest);
  if (found == entries_.end()) return nullptr;
  const Entry& entry = found->second;
  return entry.version == version && entry.kind == kind && entry.scope == scope ? entry.stored : nullptr;
}

void RecentLookUps::keep(std::uint64_t version, const Scope& scope, const oci::Digest& digest,
                         ContentKind kind, std::shared_ptr<const Stored> stored) {
  if (entries_.size() >= kMostEntries || bytes_ >= kMostBytes) {
    entries_.clear();
    bytes_ = 0;
  }
  bytes_ += bytes_of(*stored);
  Entry entry{.version = version, .scope = scope, .kind = kind, .stored = std::move(stored)};
  const auto [place, is_new] = entries_.try_emplace(digest, std::move(entry));
  if (is_new) return;
  bytes_ -= bytes_of(*place->second.stored);
  place->second = std::move(entry);
}

}  // namespace layover::cache
