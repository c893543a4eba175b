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
#include "cache/left_overs.h"
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
          Committer& committer, LeftOvers& left_overs, FetchLimits limits, ExtraStreams& extra,
          std::shared_ptr<HandOver> hand_over);
  /// What it has not brought to an end becomes a left-over where that is worth it, and is removed otherwise.
  ~FillRun();

  /// Downloads and verifies. `first_byte` bounds the time to upstream's answer. The error of a wrong digest
  /// is kDigestMismatch. Where the disk cannot take the content, or it is over a limit on its size, that is
  /// the error, and has been published to the readers as the fill's uncached end.
  net::Task<Result<void>> download(Deadline first_byte);
  /// Makes the verified download part of the cache: after this the index has it.
  net::Task<Result<void>> commit();
  /// Whether bytes of an earlier download are among those that were hashed.
  bool has_used_left_over() const { return used_.total() > 0; }

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
  net::Task<Result<std::unique_ptr<SourceStream>>> open_source(Deadline first_byte);
  void take_over(LeftOver left_over);
  net::Task<Result<void>> open_file();
  void save_now_and_then();
  void save(FillRecord record) const;
  Extents in_file() const;
  std::optional<Bytes> known_size() const;
  FillRecord record() const;
  bool is_worth_keeping() const;
  void keep();
  net::Task<Result<void>> store_all();
  net::Task<Result<void>> reserve_for(const std::vector<Chunk>& chunks);
  net::Task<Result<void>> reserve(Bytes size, Deadline deadline);
  net::Task<Result<void>> store(std::vector<Chunk> chunks);
  Result<void> verify();
  net::Task<void> end_uncached(Error reason);
  Result<void> check_limit(Bytes size) const;
  Result<void> check_prefetch(const SourceHead& head);
  std::optional<Error> find_size_problem(const SourceHead& head) const;

  std::shared_ptr<FillState> state_;
  std::shared_ptr<Source> source_;
  Committer& committer_;

  const std::shared_ptr<HandOver> hand_over_;

  LeftOvers& left_overs_;
  std::unique_ptr<LeftOver> left_over_;  // taken, and not made its own yet
  Extents used_;                         // of a left-over, in the file from the start
  std::optional<Bytes> used_of_;         // its content's size
  bool is_spoiled_ = false;              // the file is of no use to anybody

  std::string path_;  // of the partial file; empty once it is renamed or removed
  std::shared_ptr<RecordFile> record_file_;
  const std::shared_ptr<const int> writer_ = std::make_shared<const int>();  // held by each job that writes
  std::uint64_t saved_ = 0;  // bytes that the record speaks of, or is being made to
  Reservation reserved_;
  std::optional<FillStore> store_;  // nothing while a job has it
  FillFetcher fetcher_;
};

}  // namespace layover::cache
