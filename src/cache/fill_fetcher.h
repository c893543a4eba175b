// The network half of a download: brings a content's bytes from upstream as chunks, by as many streams as are
// worth it, and carries on where a stream breaks.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "base/error.h"
#include "cache/fill_patience.h"
#include "cache/fill_plan.h"
#include "cache/fill_state.h"
#include "cache/source.h"
#include "cache/stream_tuner.h"
#include "net/event.h"
#include "net/task.h"
#include "net/task_group.h"

namespace layover::cache {

/// Some received bytes and their place.
struct Chunk {
  static constexpr std::size_t kCapacity = std::size_t{256} << 10;

  std::unique_ptr<std::byte[]> bytes;
  std::uint64_t offset = 0;
  std::size_t length = 0;

  ByteRange range() const { return {.begin = offset, .end = offset + length}; }
};

/// What a download may use.
struct FetchLimits {
  unsigned streams = 1;                                           // at once
  std::chrono::milliseconds patience = std::chrono::seconds(20);  // without progress; see FillPatience
};

/// Counts the streams beyond each download's first, of all downloads. Shared by all loops; thread-safe.
class ExtraStreams {
 public:
  static constexpr int kMost = 64;

  bool take() {
    if (used_.fetch_add(1, std::memory_order_relaxed) < kMost) return true;
    give_back();
    return false;
  }
  void give_back() { used_.fetch_sub(1, std::memory_order_relaxed); }

 private:
  std::atomic<int> used_{0};
};

/// Owned by one download; lives on its loop. Its destruction gives up what is being received.
class FillFetcher {
 public:
  FillFetcher(net::Loop& loop, FillState& state, Source& source, FetchLimits limits, ExtraStreams& extra);
  FillFetcher(const FillFetcher&) = delete;
  FillFetcher& operator=(const FillFetcher&) = delete;
  ~FillFetcher();

  /// What need not be fetched. Before start().
  void adopt(Extents there) { plan_.set_received(std::move(there)); }
  /// `first` brings the content from the first byte that is missing. Once.
  void start(std::unique_ptr<SourceStream> first);
  /// Instead of start(): brings what `there` lacks, in order. `first`, where given, brings the content from
  /// its first byte.
  void start_missing(std::optional<Bytes> size, Extents there, std::unique_ptr<SourceStream> first);
  /// Waits for chunks and gives all that have come; none: the whole content has been given. One caller.
  net::Task<Result<std::vector<Chunk>>> next();
  /// Nothing more is received.
  void stop() { tasks_.cancel(); }
  /// Their memory is used again.
  void give_back(std::vector<Chunk> chunks);
  /// So many bytes from the content's start are hashed: streams do not run far ahead of that.
  void note_hashed(std::uint64_t front) { hashed_ = front; }

 private:
  class WorkerCount;
  enum class Received {
    kAll,        // of the part
    kUntilLull,  // the stream would bring what others bring too: a shorter one is to take its place
  };

  net::Task<void> work(FillPlan::Handle part, std::unique_ptr<SourceStream> stream);
  net::Task<std::optional<Error>> fetch(FillPlan::Handle part, std::unique_ptr<SourceStream> stream);
  net::Task<Result<std::unique_ptr<SourceStream>>> reopen(FillPlan::Handle part);
  net::Task<Result<void>> skip(SourceStream& stream, std::uint64_t n, Deadline deadline);
  Deadline stream_deadline() const;
  Deadline stall_limit() const;
  bool is_past_end(const Error& error, std::uint64_t begin) const;
  net::Task<Result<Received>> receive(FillPlan::Handle part, SourceStream& stream);
  net::Task<Chunk> take_chunk();
  void free(Chunk chunk);

  net::Task<void> tend();
  void spawn_for_readers();
  void spawn_for_speed();
  bool spawn(ByteRange request, std::unique_ptr<SourceStream> stream = {});
  std::optional<ByteRange> next_request() const;
  std::optional<ByteRange> wanted_request() const;
  std::optional<ByteRange> piece() const;
  bool is_whole() const { return has_come_to_end_ || plan_.is_whole(); }

  net::Loop& loop_;
  FillState& state_;
  Source& source_;
  const FetchLimits limits_;
  ExtraStreams& extra_;
  int extra_taken_ = 0;
  FillPatience patience_;
  StreamTuner tuner_;
  FillPlan plan_;
  unsigned target_ = 1;                        // streams that are worth it for the sake of speed
  unsigned workers_ = 0;                       // streams
  bool takes_ranges_ = false;                  // upstream does, as far as is known
  Deadline refused_until_ = Deadline::at({});  // no further stream before
  std::uint64_t hashed_ = 0;
  bool has_come_to_end_ = false;  // of content whose size upstream does not tell
  std::optional<Error> failure_;
  std::vector<Chunk> received_;
  std::vector<Chunk> free_;
  std::size_t made_ = 0;  // chunks that exist
  net::Event has_received_;
  std::deque<net::Event*> waiting_for_chunk_;  // each in the frame of a worker
  net::TaskGroup tasks_;                       // last: its tasks use the members above
};

}  // namespace layover::cache
