// The working half of a fill: takes the bytes from upstream, writes them to a partial file while hashing
// them, publishes how far it has come, verifies, and commits. Lives and dies on one loop.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/deadline.h"
#include "cache/committer.h"
#include "cache/disk_budget.h"
#include "cache/fill_fetcher.h"
#include "cache/fill_state.h"
#include "cache/fill_store.h"
#include "cache/source.h"
#include "cache/uncached_stream.h"
#include "net/task.h"

namespace layover::cache {

/// Larger manifests are refused, as registries themselves do (the specification asks for 4 MiB at least).
inline constexpr Bytes kMaxManifest = 8_MiB;

/// Owned by the task that runs it.
class FillRun {
 public:
  FillRun(net::Loop& loop, std::shared_ptr<FillState> state, std::shared_ptr<Source> source,
          Committer& committer, FetchLimits limits, ExtraStreams& extra, std::shared_ptr<HandOver> hand_over);
  /// Cancelled midway, it leaves no file behind.
  ~FillRun();

  /// Downloads and verifies. `first_byte` bounds the time to upstream's answer. The error of a wrong digest
  /// is kDigestMismatch. Where the disk cannot take the content, or it is over a limit on its size, that is
  /// the error, and has been published to the readers as the fill's uncached end.
  net::Task<Result<void>> download(Deadline first_byte);
  /// Makes the verified download part of the cache: after this the index has it.
  net::Task<Result<void>> commit();

 private:
  /// A partial file, removed by its end unless it was renamed or given away.
  class PartialFile {
   public:
    PartialFile(FileSystem& files, std::string path) : files_(&files), path_(std::move(path)) {}
    PartialFile(PartialFile&& other) noexcept : files_(other.files_), path_(other.release()) {}
    PartialFile& operator=(PartialFile&&) = delete;
    ~PartialFile() {
      if (!path_.empty()) (void)files_->remove(path_);
    }
    std::string release() { return std::exchange(path_, {}); }

   private:
    FileSystem* files_;
    std::string path_;
  };

  net::Task<Result<void>> prepare(std::optional<Bytes> size, Deadline first_byte);
  net::Task<Result<void>> open_file();
  net::Task<Result<void>> store_all();
  net::Task<Result<void>> reserve_for(const std::vector<Chunk>& chunks);
  net::Task<Result<void>> store(std::vector<Chunk> chunks);
  Result<void> verify();
  net::Task<void> end_uncached(Error reason);
  Result<void> check_limit(Bytes size) const;
  std::optional<Error> find_size_problem(const SourceHead& head) const;

  std::shared_ptr<FillState> state_;
  std::shared_ptr<Source> source_;
  Committer& committer_;

  const std::shared_ptr<HandOver> hand_over_;

  std::string path_;  // of the partial file; empty once it is renamed or removed
  Reservation reserved_;
  std::optional<FillStore> store_;  // nothing while a job has it
  FillFetcher fetcher_;
};

}  // namespace layover::cache
