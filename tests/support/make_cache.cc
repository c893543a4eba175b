// Fills a cache directory with many small blobs, written through the index's own code: `make_cache DIRECTORY
// NUMBER`. Their bytes are "object 0\n", "object 1\n" and so on, of registry-a.test's repository public/many.
// For measuring how a start copes with them.
#include <fcntl.h>

#include <cstdlib>
#include <iostream>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cache/directory.h"
#include "cache/hasher.h"
#include "cache/index.h"

namespace {

using namespace layover;

constexpr unsigned kBatch = 5000;

cache::Scope scope() {
  return {.registry = *oci::RegistryName::parse("registry-a.test"),
          .repository = *oci::RepositoryName::parse("public/many")};
}

Result<void> add(const cache::Directory& directory, unsigned number, std::vector<cache::Change>& changes) {
  const std::string bytes = "object " + std::to_string(number) + "\n";
  const auto data = std::as_bytes(std::span(bytes));
  const auto digest = cache::digest_of(oci::Algorithm::kSha256, data);
  auto fd = directory.files().open(directory.blob_file(digest), O_WRONLY | O_CREAT | O_TRUNC, 0640);
  if (!fd) return std::unexpected(fd.error());
  if (auto written = directory.files().write_at(fd->get(), data, 0); !written) return written;
  const WallTime now = Clock::system().wall_now();
  changes.emplace_back(cache::PutContent{.digest = digest,
                                         .kind = cache::ContentKind::kBlob,
                                         .size = Bytes{bytes.size()},
                                         .now = now,
                                         .origins = {scope().registry}});
  changes.emplace_back(
      cache::PutGrant{.scope = scope(),
                      .digest = digest,
                      .kind = cache::ContentKind::kBlob,
                      .record = {.confirmed = now, .media_type = "application/octet-stream"}});
  changes.emplace_back(cache::PutSmall{.digest = digest, .bytes = bytes});
  return {};
}

Result<void> make(const std::string& path, unsigned count) {
  auto directory = cache::Directory::open(FileSystem::system(), path);
  if (!directory) return std::unexpected(directory.error());
  auto index = cache::Index::open(path, 1);
  if (!index) return std::unexpected(index.error());
  std::vector<cache::Change> changes;
  for (unsigned number = 0; number < count; ++number) {
    if (auto added = add(**directory, number, changes); !added) return added;
    if (changes.size() < 3 * kBatch && number + 1 < count) continue;
    if (auto applied = (*index)->apply(changes); !applied) return applied;
    changes.clear();
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv, argv + argc);
  if (arguments.size() != 3) {
    std::cerr << "usage: make_cache DIRECTORY NUMBER\n";
    return 2;
  }
  const auto made =
      make(arguments[1], static_cast<unsigned>(std::strtoul(arguments[2].c_str(), nullptr, 10)));
  if (made) return 0;
  std::cerr << made.error().describe() << "\n";
  return 1;
}
