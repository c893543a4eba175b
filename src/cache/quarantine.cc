// The file first: an entry without a file is a miss, a file without an entry would be adopted.
#include "cache/quarantine.h"

#include <optional>
#include <utility>
#include <vector>

#include "base/log.h"
#include "net/offload.h"

namespace layover::cache {

namespace {

/// The size of what has stayed where it was.
std::optional<Bytes> move_away(const Directory& directory, const Claim& claim) {
  auto moved = directory.quarantine(claim);
  if (moved) return std::nullopt;
  log_error("a damaged file could not be moved to quarantine: {}", moved.error().describe());
  const auto status = directory.files().status(directory.blob_file(claim.digest()));
  return status ? std::optional(status->size) : std::nullopt;
}

}  // namespace

net::Task<Result<void>> put_into_quarantine(Cache& cache, std::shared_ptr<const Claim> claim) {
  const auto left = co_await net::offload(
      net::Work::kDisk, [&directory = cache.directory(), claim] { return move_away(directory, *claim); });
  std::vector<Change> changes;
  changes.emplace_back(RemoveContent{.digest = claim->digest()});
  auto written = co_await cache.writer().write(std::move(changes));
  cache.budget().note_change();
  if (written && left) cache.budget().note_orphan(claim->digest(), *left);
  if (written) cache.count_damaged();
  co_return written;
}

}  // namespace layover::cache
