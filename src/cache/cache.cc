// Opening a cache: lock, index, and what happens when the index cannot be read.
#include "cache/cache.h"

#include <fcntl.h>

#include <span>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"

namespace layover::cache {

namespace {

/// One death while opening the index may have been anybody's; the second in a row is the index's.
constexpr std::uint64_t kDeathsBelieved = 2;

/// Adds one to the starts that have not got past opening the index, and gives how many there were before.
Result<std::uint64_t> note_opening(const Directory& directory) {
  FileSystem& files = directory.files();
  auto marker = files.open(directory.opening_marker(), O_WRONLY | O_CREAT, 0640);
  if (!marker) return std::unexpected(marker.error());
  auto status = files.status(marker->get());
  if (!status) return std::unexpected(status.error());
  constexpr std::byte kOne{'.'};
  auto written = files.write_at(marker->get(), std::span(&kOne, 1), status->size.count);
  if (!written) return std::unexpected(written.error());
  return status->size.count;
}

/// An opening that ends, also with an error, has killed nobody.
class OpeningEnds {
 public:
  explicit OpeningEnds(const Directory& directory) : directory_(directory) {}
  OpeningEnds(const OpeningEnds&) = delete;
  OpeningEnds& operator=(const OpeningEnds&) = delete;
  ~OpeningEnds() { (void)directory_.files().remove(directory_.opening_marker()); }

 private:
  const Directory& directory_;
};

Result<std::unique_ptr<Index>> open_index(const Directory& directory, unsigned loops) {
  auto deaths = note_opening(directory);
  if (!deaths) return std::unexpected(deaths.error());
  const OpeningEnds ends(directory);
  if (*deaths > 0) log_warning("the last {} starts died while opening the index", *deaths);
  auto index = *deaths >= kDeathsBelieved
                   ? failure(ErrorCode::kCorrupt, ErrorSource::kDisk, "it may be what killed the last starts")
                   : Index::open(directory.path(), loops);
  if (!index && index.error().code() == ErrorCode::kCorrupt) {
    auto aside = directory.set_index_aside();
    if (!aside && aside.error().code() != ErrorCode::kNotFound) return std::unexpected(aside.error());
    log_error(
        "the index cannot be used ({}); it is set aside as {}, and stored files are taken into a new one",
        index.error().describe(), aside.value_or("nothing"));
    index = Index::open(directory.path(), loops);
  }
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
  std::unique_ptr<Cache> cache(
      new Cache(std::move(*directory), std::move(*index), clock, metrics, std::move(options)));
  cache->left_overs_.load();
  return cache;
}

Cache::Cache(std::unique_ptr<Directory> directory, std::unique_ptr<Index> index, const Clock& clock,
             metrics::Metrics& metrics, CacheOptions options)
    : directory_(std::move(directory)),
      index_(std::move(index)),
      writer_(*index_),
      clock_(clock),
      metrics_(metrics),
      options_(std::move(options)),
      budget_(directory_->files(), *index_, directory_->path(), options_.space),
      committer_(*directory_, *index_, writer_, budget_, clock_),
      left_overs_(directory_->files(), clock_, budget_, directory_->path() + "/fills"),
      store_health_(directory_->path(), metrics_) {}

void Cache::count_evicted(std::size_t objects, Bytes bytes) {
  metrics_.evicted_objects().add(objects);
  metrics_.evicted_bytes().add(bytes.count);
}

}  // namespace layover::cache
