// Two generations: what is asked for again while the older one lasts stays.
#include "cache/recent_look_ups.h"

#include <utility>

namespace layover::cache {

namespace {

constexpr std::size_t kMostEntries = 4096;
constexpr std::size_t kMostBytes = std::size_t{4} << 20;

std::size_t bytes_of(const Stored& stored) { return stored.small ? stored.small->size() : 0; }

}  // namespace

std::shared_ptr<const Stored> RecentLookUps::find(std::uint64_t version, const Scope& scope,
                                                  const oci::Digest& digest, ContentKind kind) {
  const Entry* entry = young_.find(digest);
  const bool is_old = entry == nullptr;
  if (is_old) entry = old_.find(digest);
  if (entry == nullptr || entry->version != version || entry->kind != kind || entry->scope != scope)
    return nullptr;
  auto stored = entry->stored;
  if (is_old) put(digest, *entry);
  return stored;
}

void RecentLookUps::keep(std::uint64_t version, const Scope& scope, const oci::Digest& digest,
                         ContentKind kind, std::shared_ptr<const Stored> stored) {
  put(digest, {.version = version, .scope = scope, .kind = kind, .stored = std::move(stored)});
}

void RecentLookUps::put(const oci::Digest& digest, Entry entry) {
  if (young_.entries.size() >= kMostEntries || young_.bytes >= kMostBytes) {
    old_ = std::exchange(young_, {});
  }
  young_.bytes += bytes_of(*entry.stored);
  const auto [place, is_new] = young_.entries.try_emplace(digest, std::move(entry));
  if (is_new) return;
  young_.bytes -= bytes_of(*place->second.stored);
  place->second = std::move(entry);
}

}  // namespace layover::cache
