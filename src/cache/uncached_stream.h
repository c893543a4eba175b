// One reader's own way through a content whose fill the disk has ended: bytes that the file has come from the
// file, all others from upstream, and memory holds a few pieces of it. The bytes at the content's end are
// given only once the digest of the whole is verified, with the hash carried on from where the fill's stood.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "base/error.h"
#include "base/file_system.h"
#include "cache/fill_fetcher.h"
#include "cache/fill_state.h"
#include "cache/source.h"
#include "net/task.h"

namespace layover::cache {

/// The stream that a fill had opened when it turned out that there is nowhere to put it. Shared by the fill
/// and the reader that started it, on their loop.
struct HandOver {
  std::shared_ptr<Source> source;
  std::unique_ptr<SourceStream> stream;  // from the content's first byte; null where there is none
};

/// What a reader needs to go on by itself. Used on its request's loop, as long as the request's task lives.
struct OwnWay {
  net::Loop* loop;
  FileSystem* files;
  std::chrono::milliseconds patience;  // without progress; see FillPatience
  ExtraStreams* extra;
  std::function<std::shared_ptr<Source>()> source;
  std::shared_ptr<HandOver> hand_over;                           // null where there is none
  std::function<void(bool is_registry_to_blame)> note_mismatch;  // told of a wrong digest
};

/// Owned by one reader; lives on its loop. Its destruction gives up its connection.
class UncachedStream {
 public:
  /// `fill` has ended as uncached. Of `wanted`, which may reach beyond the content's end, the reader has
  /// nothing yet. What reaches the end is hashed from where the fill's hash stands; what does not is fetched
  /// alone, and its client checks the whole.
  UncachedStream(const OwnWay& way, std::shared_ptr<FillState> fill, ByteRange wanted);
  UncachedStream(const UncachedStream&) = delete;
  UncachedStream& operator=(const UncachedStream&) = delete;

  /// Whether next() gives the bytes of `range` from its begin to its end.
  bool is_at(ByteRange range) const;
  /// The next bytes, valid until the next call; none at the end. Errors: upstream's, once patience with it is
  /// over; kDigestMismatch.
  net::Task<Result<std::span<const std::byte>>> next();
  /// The first `n` of those that next() gave are used: the next call gives what follows them.
  void consume(std::size_t n) { offset_ += n; }

 private:
  /// Some bytes in their place; none at the end.
  struct Piece {
    Chunk chunk;
    bool is_from_file = false;
  };

  net::Task<Result<Piece>> next_released();
  net::Task<Result<Piece>> next_hashed();
  net::Task<Result<Piece>> next_missing();
  net::Task<Result<Piece>> read_file(ByteRange range);
  net::Task<Piece> hash(Piece piece);
  Result<void> verify();
  void drop(Piece piece);

  const OwnWay way_;
  const std::shared_ptr<FillState> fill_;  // whose file is read
  const std::shared_ptr<const UncachedEnd> from_;
  const std::optional<Bytes> size_;
  const ByteRange wanted_;
  const bool must_verify_;  // the content's end is wanted
  const std::shared_ptr<Source> source_;

  std::optional<Hasher> hasher_;  // nothing while a job has it
  bool is_verified_ = false;
  std::uint64_t hashed_;
  std::uint64_t position_;  // where the next piece begins
  std::uint64_t offset_;
  std::deque<Chunk> fetched_;
  Piece held_;     // without a size, any piece may be the last: it is given when another has followed
  Piece current_;  // that next() gives

  FillState progress_;  // of this download, for its fetcher
  FillFetcher fetcher_;
};

}  // namespace layover::cache
