// The file first: an entry without a file is a miss, a file without an entry would be adopted.
#include "cache/quarantine.h"

#include <utility>
#include <vector>

#include "base/log.h"
#include "net/offload.h"

namespace layover::cache {

net::Task<Result<void>> put_into_quarantine(Cache& cache, std::shared_ptr<const Claim> claim) {
  auto moved = co_await net::offload(
      net::Work::kDisk, [&directory = cache.directory(), claim] { return directory.quarantine(*claim); });
  if (!moved) log_error("it could not be moved to quarantine: {}", moved.error().describe());
  std::vector<Change> changes;
  changes.emplace_back(RemoveContent{.digest = claim->digest()});
  auto written = co_await cache.writer().write(std::move(changes));
  cache.budget().note_change();
  if (written) cache.count_damaged();
  co_return written;
}

}  // namespace layover::cache
