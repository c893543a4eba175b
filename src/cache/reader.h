// One client's view of one content: which bytes can be sent now, and waiting for more. The same for a
// blob that was stored long ago, for one that is being downloaded, and for one that the disk cannot take.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/error.h"
#include "base/unique_fd.h"
#include "cache/fill_state.h"
#include "cache/uncached_stream.h"
#include "metrics/metrics.h"
#include "net/task.h"

namespace layover::cache {

/// A stored content, open for reading.
struct Content {
  std::shared_ptr<const UniqueFd> file;
  Bytes size;
};

/// Owned by one request's task; lives on its loop. Counts as a reader of its fill as long as it lives.
class Reader {
 public:
  explicit Reader(Content content);
  /// Of a fill that counts it already: see FillState::add_reader. `own_way` is taken where the fill ends as
  /// uncached.
  Reader(std::shared_ptr<FillState> fill, metrics::Gauge readers, OwnWay own_way);
  Reader(Reader&&) noexcept = default;
  Reader& operator=(Reader&&) = delete;
  ~Reader();

  /// Waits until the fill has upstream's answer; at once for stored content. The fill's failure, or
  /// kTimeout.
  net::Task<Result<void>> wait_for_head(Deadline deadline);
  /// Waits until the whole content is verified: for what must not be answered before. Where it is not in the
  /// cache it is then in memory, see whole(); the fill's error where it is too large for that.
  net::Task<Result<void>> wait_until_verified(Deadline deadline);
  /// The content, where wait_until_verified() has taken it into memory; otherwise null.
  const std::string* whole() const { return whole_ ? &*whole_ : nullptr; }
  /// Some of what it gives comes from upstream for it alone.
  bool is_on_its_own() const { return fill_ && fill_->view().uncached; }
  /// Nothing of what it gives is or will be in the cache.
  bool is_bypassing() const;
  /// Nothing while the size is unknown.
  std::optional<Bytes> size() const;
  /// Whether the byte at `offset` may be sent now.
  bool has_byte_at(std::uint64_t offset) const;
  /// Waits until a byte at `offset` may be sent, and gives all that may be from there, up to `end`. Empty
  /// at the content's verified end. Afterwards in_memory() holds the range, or where that is empty, `fd()`.
  net::Task<Result<ByteRange>> next(std::uint64_t offset, std::uint64_t end);

  /// Bytes that have just come from upstream and are not in the file; valid until the next call of next().
  std::span<const std::byte> in_memory() const { return in_memory_; }
  /// Valid after wait_for_head; stays open as long as this reader.
  int fd() const;

 private:
  net::Task<Result<ByteRange>> next_uncached(std::uint64_t offset, std::uint64_t end);
  net::Task<Result<void>> take_into_memory(Deadline deadline);
  net::Task<void> read_all_uncached(Result<std::string>& bytes);

  std::optional<Content> content_;
  std::shared_ptr<FillState> fill_;
  std::optional<metrics::Gauge> readers_;
  std::optional<OwnWay> own_way_;
  std::unique_ptr<UncachedStream> own_;  // once the fill has ended as uncached
  unsigned streams_ = 0;                 // of its own, that it has had
  std::span<const std::byte> in_memory_;
  std::optional<std::string> whole_;
};

}  // namespace layover::cache
