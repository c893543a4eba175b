// Opening a cache: lock, index, and what is made of them.
#include "cache/cache.h"

#include <utility>

#include <fmt/format.h>

#include "cache/index_recovery.h"

namespace layover::cache {

Result<std::unique_ptr<Cache>> Cache::open(FileSystem& files, const Clock& clock, metrics::Metrics& metrics,
                                           CacheOptions options) {
  auto directory = Directory::open(files, options.path);
  if (!directory) return std::unexpected(directory.error());
  auto ballast = std::make_unique<Ballast>(files, options.path);
  auto index = open_index(**directory, *ballast, options.loops);
  if (!index) {
    return std::unexpected(
        index.error().within(fmt::format("the cache directory {} cannot be used", options.path)));
  }
  std::unique_ptr<Cache> cache(new Cache(std::move(*directory), std::move(ballast), std::move(*index), clock,
                                         metrics, std::move(options)));
  cache->left_overs_.load();
  return cache;
}

Cache::Cache(std::unique_ptr<Directory> directory, std::unique_ptr<Ballast> ballast,
             std::unique_ptr<Index> index, const Clock& clock, metrics::Metrics& metrics,
             CacheOptions options)
    : directory_(std::move(directory)),
      ballast_(std::move(ballast)),
      index_(std::move(index)),
      writer_(*index_, ballast_.get()),
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
