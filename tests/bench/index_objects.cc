// The objects: a digest and a repository for each number, in records as a download leaves them.
#include "tests/bench/index_objects.h"

#include <array>
#include <span>
#include <vector>

#include "base/clock.h"
#include "cache/hasher.h"

namespace layover::bench {

namespace {

constexpr unsigned kRepositories = 100;
constexpr unsigned kBatch = 5000;
constexpr Bytes kSize{1000};  // so that all of them fit any disk: nothing is to be evicted

void add(unsigned number, WallTime now, std::vector<cache::Change>& changes) {
  changes.emplace_back(cache::PutContent{.digest = object_digest(number),
                                         .kind = cache::ContentKind::kBlob,
                                         .size = kSize,
                                         .now = now,
                                         .origins = {object_scope(number).registry}});
  changes.emplace_back(
      cache::PutGrant{.scope = object_scope(number),
                      .digest = object_digest(number),
                      .kind = cache::ContentKind::kBlob,
                      .record = {.confirmed = now, .media_type = "application/octet-stream"}});
}

}  // namespace

oci::Digest object_digest(unsigned number) {
  const std::string name = "object " + std::to_string(number);
  return cache::digest_of(oci::Algorithm::kSha256, std::as_bytes(std::span(name)));
}

cache::Scope object_scope(unsigned number) {
  return {.registry = *oci::RegistryName::parse("bench.test"),
          .repository = *oci::RepositoryName::parse("bench/app-" + std::to_string(number % kRepositories))};
}

Result<std::unique_ptr<cache::Index>> make_index(const std::string& directory, unsigned objects) {
  auto index = cache::Index::open(directory, 1);
  if (!index) return index;
  const WallTime now = Clock::system().wall_now();
  std::vector<cache::Change> changes;
  for (unsigned number = 0; number < objects; ++number) {
    add(number, now, changes);
    if (changes.size() < 2 * kBatch && number + 1 < objects) continue;
    if (auto applied = (*index)->apply(changes); !applied) return std::unexpected(applied.error());
    changes.clear();
  }
  return index;
}

}  // namespace layover::bench
