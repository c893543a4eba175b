// One folder a job, so that the sweep never holds a pool thread for long.
#include "cache/sweep.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/log.h"
#include "net/offload.h"
#include "oci/manifest.h"

namespace layover::cache {

namespace {

constexpr unsigned kFolders = 512;  // 256 of each algorithm

std::vector<oci::RegistryName> origins_of(FileSystem& files, const std::string& path) {
  std::vector<oci::RegistryName> origins;
  std::string names = files.attribute(path, kOriginAttribute).value_or("");
  for (std::size_t begin = 0; begin < names.size();) {
    const auto end = std::min(names.find('\n', begin), names.size());
    if (auto name = oci::RegistryName::parse(std::string_view(names).substr(begin, end - begin))) {
      origins.push_back(std::move(*name));
    }
    begin = end + 1;
  }
  return origins;
}

ContentKind kind_of(FileSystem& files, const std::string& path, Bytes size) {
  if (size > kMaxManifest) return ContentKind::kBlob;
  const auto bytes = read_file(files, path, kMaxManifest);
  return bytes && oci::looks_like_manifest(*bytes) ? ContentKind::kManifest : ContentKind::kBlob;
}

struct Sweep {
  Cache& cache;
  unsigned folder = 0;
  std::size_t adopted = 0;
};

void sweep_folder(Sweep& sweep) {
  const Directory& directory = sweep.cache.directory();
  FileSystem& files = directory.files();
  const std::string_view algorithm = sweep.folder < 256 ? "sha256" : "sha512";
  const std::string folder =
      fmt::format("{}/blobs/{}/{:02x}", directory.path(), algorithm, sweep.folder % 256);
  const auto names = files.list(folder);
  if (!names) return;
  std::vector<Change> changes;
  for (const std::string& name : *names) {
    const auto digest = oci::Digest::parse(fmt::format("{}:{}", algorithm, name));
    if (!digest || sweep.cache.index().knows(*digest)) continue;
    const std::string path = folder + "/" + name;
    const auto status = files.status(path);
    if (!status) continue;
    changes.emplace_back(PutContent{.digest = *digest,
                                    .kind = kind_of(files, path, status->size),
                                    .size = status->size,
                                    .now = sweep.cache.clock().wall_now(),
                                    .origins = origins_of(files, path)});
  }
  if (changes.empty()) return;
  if (auto applied = sweep.cache.index().apply(changes); !applied) {
    log_error("stored files cannot be taken into the index: {}", applied.error().describe());
    return;
  }
  sweep.adopted += changes.size();
}

void sweep_on(const std::shared_ptr<Sweep>& sweep) {
  net::offload_detached(net::Work::kIndex, [sweep, mailbox = net::Loop::current()->mailbox()] {
    sweep_folder(*sweep);
    if (++sweep->folder < kFolders) {
      mailbox->post([sweep] { sweep_on(sweep); });
    } else if (sweep->adopted > 0) {
      log_info("took {} stored files into the index that it did not know", sweep->adopted);
    }
  });
}

}  // namespace

void adopt_unknown_files_later(Cache& cache) { sweep_on(std::make_shared<Sweep>(Sweep{.cache = cache})); }

}  // namespace layover::cache
