// Folder by folder, as files are found: what has no entry is the sweep's. Hashed twice before it is called
// wrong, the second time under the digest's claim, so that nothing is judged by what it has just replaced.
#include "cache/scrub.h"

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/log.h"
#include "base/random.h"
#include "cache/file_hash.h"
#include "cache/quarantine.h"
#include "net/offload.h"
#include "net/wait.h"

namespace layover::cache {

namespace {

constexpr std::chrono::hours kBetweenRounds{24};
/// While it is switched off.
constexpr std::chrono::seconds kBetweenLooks{10};

std::vector<oci::Digest> stored_in(Cache& cache, unsigned folder) {
  std::vector<oci::Digest> found;
  const auto names = cache.directory().files().list(cache.directory().content_folder(folder));
  for (const std::string& name : names.value_or(std::vector<std::string>())) {
    const auto digest = oci::Digest::parse(fmt::format("{}:{}", Directory::algorithm_of(folder), name));
    if (digest && cache.index().knows(*digest)) found.push_back(*digest);
  }
  return found;
}

net::Task<Bytes> wait_for_rate(Cache& cache) {
  while (cache.scrub_rate().count == 0) co_await net::sleep_until(Deadline::after(kBetweenLooks));
  co_return cache.scrub_rate();
}

/// What is not there may have been evicted; what the disk cannot give is as good as wrong.
bool is_damaged(const Result<oci::Digest>& found, const oci::Digest& wanted) {
  return found ? *found != wanted : found.error().code() == ErrorCode::kIo;
}

}  // namespace

net::Task<bool> scrub_one(Cache& cache, oci::Digest digest, Bytes per_second) {
  const Directory& directory = cache.directory();
  const std::string path = directory.blob_file(digest);
  auto found = co_await hash_file(directory.files(), path, digest.algorithm(),
                                  {.per_second = per_second, .spares_memory = true});
  if (!is_damaged(found, digest)) co_return false;
  auto claimed = co_await directory.claims().claim(digest);
  // The jobs share the claim: they may outlive the task.
  const auto claim = std::make_shared<const Claim>(std::move(claimed));
  found = co_await hash_file(directory.files(), path, digest.algorithm());
  if (!is_damaged(found, digest)) co_return false;
  log_error("{} has rotted: {}; it goes to quarantine, and is downloaded again when it is asked for", path,
            found ? "its digest is " + found->to_string() + " now" : found.error().describe());
  const auto forgotten = co_await put_into_quarantine(cache, claim);
  co_return forgotten.has_value();
}

net::Task<void> scrub(Cache& cache) {
  auto folder = static_cast<unsigned>(Random::system().next() % Directory::kFolders);
  for (;;) {
    const auto next_round = Deadline::after(kBetweenRounds);
    for (unsigned i = 0; i < Directory::kFolders; ++i) {
      folder = (folder + 1) % Directory::kFolders;
      const auto stored =
          co_await net::offload(net::Work::kDisk, [&cache, folder] { return stored_in(cache, folder); });
      for (const oci::Digest& digest : stored) {
        const Bytes per_second = co_await wait_for_rate(cache);
        co_await scrub_one(cache, digest, per_second);
      }
    }
    co_await net::sleep_until(next_round);
  }
}

}  // namespace layover::cache
