// Folder by folder, file by file; dropping the task ends it after the job under way.
#include "cache/sweep.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/log.h"
#include "cache/file_hash.h"
#include "net/offload.h"
#include "net/task_group.h"
#include "oci/manifest.h"

namespace layover::cache {

namespace {

/// Small files are taken in together, so that they share the index's syncs.
constexpr std::size_t kAtOnce = 32;
constexpr Bytes kSmallFile = 1_MiB;
/// What takes longer to read than a client would wait for.
constexpr Bytes kTooLargeToWaitFor = 1_GiB;

struct UnknownFile {
  oci::Digest digest;
  std::string path;
  Bytes size;
};

std::vector<UnknownFile> find_unknown(Cache& cache, unsigned number) {
  const Directory& directory = cache.directory();
  const std::string_view algorithm = Directory::algorithm_of(number);
  const std::string folder = directory.content_folder(number);
  std::vector<UnknownFile> found;
  for (const std::string& name : directory.files().list(folder).value_or(std::vector<std::string>())) {
    const auto digest = oci::Digest::parse(fmt::format("{}:{}", algorithm, name));
    if (!digest || cache.index().knows(*digest)) continue;
    const auto status = directory.files().status(folder + "/" + name);
    if (status) found.push_back({.digest = *digest, .path = folder + "/" + name, .size = status->size});
  }
  return found;
}

std::vector<oci::RegistryName> origins_of(FileSystem& files, const std::string& path) {
  std::vector<oci::RegistryName> origins;
  const std::string names = files.attribute(path, kOriginAttribute).value_or("");
  for (std::size_t begin = 0; begin < names.size();) {
    const auto end = std::min(names.find('\n', begin), names.size());
    if (auto name = oci::RegistryName::parse(std::string_view(names).substr(begin, end - begin))) {
      origins.push_back(std::move(*name));
    }
    begin = end + 1;
  }
  return origins;
}

/// A config is JSON too: a manifest is what says of itself that it is one.
ContentKind kind_of(FileSystem& files, const UnknownFile& file) {
  if (file.size > kMaxManifest) return ContentKind::kBlob;
  const auto bytes = read_file(files, file.path, kMaxManifest);
  return bytes && oci::read_manifest(*bytes) ? ContentKind::kManifest : ContentKind::kBlob;
}

/// What adoption is about to do, found out under the claim: nothing where the file has got an entry, or
/// has gone, since it was listed.
net::Task<bool> is_still_unknown(Cache& cache, const UnknownFile& file, std::shared_ptr<const Claim> claim) {
  co_return co_await net::offload(net::Work::kDisk, [&cache, file, claim] {
    const auto status = cache.directory().files().status(file.path);
    const bool is_unknown = status && status->size == file.size && !cache.index().knows(file.digest);
    if (!is_unknown) cache.budget().forget_orphan(file.digest);
    return is_unknown;
  });
}

net::Task<void> put_aside(Cache& cache, const UnknownFile& file, std::shared_ptr<const Claim> claim) {
  log_error("{} has not the bytes that its name says; it goes to quarantine", file.path);
  auto moved = co_await net::offload(
      net::Work::kDisk, [&directory = cache.directory(), claim] { return directory.quarantine(*claim); });
  if (moved) {
    cache.count_damaged();
    cache.budget().forget_orphan(file.digest);
  } else {
    log_error("{}", moved.error().describe());
  }
}

net::Task<bool> adopt(Cache& cache, const UnknownFile& file) {
  auto claimed = co_await cache.directory().claims().claim(file.digest);
  // The jobs share the claim: they may outlive the task.
  const auto claim = std::make_shared<const Claim>(std::move(claimed));
  const bool is_unknown = co_await is_still_unknown(cache, file, claim);
  if (!is_unknown) co_return false;
  auto found = co_await hash_file(cache.directory().files(), file.path, file.digest.algorithm());
  if (!found) {
    log_warning("{} stays unknown to the index: {}", file.path, found.error().describe());
    co_return false;
  }
  if (*found != file.digest) {
    co_await put_aside(cache, file, claim);
    co_return false;
  }
  std::vector<Change> changes = co_await net::offload(net::Work::kDisk, [&cache, file, claim] {
    FileSystem& files = cache.directory().files();
    std::vector<Change> made;
    made.emplace_back(PutContent{.digest = file.digest,
                                 .kind = kind_of(files, file),
                                 .size = file.size,
                                 .now = cache.clock().wall_now(),
                                 .origins = origins_of(files, file.path)});
    return made;
  });
  auto written = co_await cache.writer().write(std::move(changes));
  if (written) cache.budget().forget_orphan(file.digest);
  co_return written.has_value();
}

net::Task<void> adopt_and_count(Cache& cache, const UnknownFile& file, std::size_t& adopted) {
  const bool is_adopted = co_await adopt(cache, file);
  if (is_adopted) ++adopted;
}

/// Stats alone, quickly: so that what is not adopted yet takes its part of the limit too. What a commit has
/// in hand is counted there.
void count_unknown(Cache& cache, unsigned number) {
  for (const UnknownFile& file : find_unknown(cache, number)) {
    const auto claim = cache.directory().claims().try_claim(file.digest);
    if (!claim || cache.index().knows(file.digest)) continue;
    const auto status = cache.directory().files().status(file.path);
    if (status) cache.budget().note_orphan(file.digest, status->size);
  }
}

}  // namespace

net::Task<void> adopt_unknown_files(Cache& cache, DiskBudget::Sweep /*until its end*/) {
  for (unsigned number = 0; number < Directory::kFolders; ++number) {
    auto counted = co_await net::offload(net::Work::kDisk, [&cache, number] {
      count_unknown(cache, number);
      return true;
    });
    (void)counted;
  }
  std::size_t adopted = 0;
  for (unsigned number = 0; number < Directory::kFolders; ++number) {
    const auto unknown =
        co_await net::offload(net::Work::kDisk, [&cache, number] { return find_unknown(cache, number); });
    net::TaskGroup small(*net::Loop::current());
    for (const UnknownFile& file : unknown) {
      if (file.size > kSmallFile) {
        co_await adopt_and_count(cache, file, adopted);
        continue;
      }
      small.spawn(adopt_and_count(cache, file, adopted));
      if (small.size() >= kAtOnce) co_await small.drained(Deadline::never());
    }
    co_await small.drained(Deadline::never());
  }
  if (adopted == 0) co_return;
  log_info("took {} stored files into the index that it did not know", adopted);
  cache.budget().note_change();
  cache.budget().pressure()->notify();
}

net::Task<bool> adopt_stored_file(Cache& cache, oci::Digest digest) {
  std::string path = cache.directory().blob_file(digest);
  const auto status = co_await net::offload(
      net::Work::kDisk, [&cache, path] { return cache.directory().files().status(path); });
  if (!status || status->size > kTooLargeToWaitFor) co_return false;
  const UnknownFile file{.digest = digest, .path = std::move(path), .size = status->size};
  co_await adopt(cache, file);
  co_return true;
}

}  // namespace layover::cache
