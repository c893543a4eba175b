// Opening a cache: lock, index, and what happens when the index cannot be read.
#include "cache/cache.h"

#include <fcntl.h>

#include <utility>

#include <fmt/format.h>

#include "base/log.h"

namespace layover::cache {

namespace {

Result<std::unique_ptr<Index>> open_index(const Directory& directory, unsigned loops) {
  FileSystem& files = directory.files();
  const std::string marker = directory.opening_marker();
  const bool died_opening = files.status(marker).has_value();
  if (!died_opening) {
    auto made = files.open(marker, O_WRONLY | O_CREAT, 0640);
    if (!made) return std::unexpected(made.error());
  } else {
    log_warning("the last start died while opening the index");
  }
  auto index = died_opening
                   ? failure(ErrorCode::kCorrupt, ErrorSource::kDisk, "it may be what killed the last start")
                   : Index::open(directory.path(), loops);
  if (!index && index.error().code() == ErrorCode::kCorrupt) {
    auto aside = directory.set_index_aside();
    if (!aside && aside.error().code() != ErrorCode::kNotFound) return std::unexpected(aside.error());
    log_error("the index is damaged ({}); it is set aside as {}, and stored files are taken into a new one",
              index.error().describe(), aside.value_or("nothing"));
    index = Index::open(directory.path(), loops);
  }
  if (index) (void)files.remove(marker);
  return index;
}

}  // namespace

Result<std::unique_ptr<Cache>> Cache::open(FileSystem& files, const Clock& clock, metrics::Metrics& metrics,
                                           CacheOptions options) {
  auto directory = Directory::open(files, options.path);
  if (!directory) return std::unexpected(directory.error());
  auto index = open_index(**directory, options.loops);
  if (!index) {
    return std::unexpected(
        index.error().within(fmt::format("the cache directory {} cannot be used", options.path)));
  }
  return std::unique_ptr<Cache>(
      new Cache(std::move(*directory), std::move(*index), clock, metrics, std::move(options)));
}

Cache::Cache(std::unique_ptr<Directory> directory, std::unique_ptr<Index> index, const Clock& clock,
             metrics::Metrics& metrics, CacheOptions options)
    : directory_(std::move(directory)),
      index_(std::move(index)),
      writer_(*index_),
      clock_(clock),
      metrics_(metrics),
      options_(std::move(options)),
      committer_(*directory_, writer_, clock_) {}

}  // namespace layover::cache
