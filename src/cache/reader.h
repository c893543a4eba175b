// One client's view of one content: which bytes can be sent now, and waiting for more. The same for a
// blob that was stored long ago and for one that is being downloaded.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "base/bytes.h"
#include "base/error.h"
#include "base/unique_fd.h"
#include "cache/fill_state.h"
#include "metrics/metrics.h"
#include "net/task.h"

namespace layover::cache {

/// A stored content, open for reading.
struct Content {
  UniqueFd fd;
  Bytes size;
};

/// Owned by one request's task; lives on its loop. Counts as a reader of its fill as long as it lives.
class Reader {
 public:
  explicit Reader(Content content);
  Reader(std::shared_ptr<FillState> fill, metrics::Gauge readers);
  Reader(Reader&&) noexcept = default;
  Reader& operator=(Reader&&) = delete;
  ~Reader();

  /// Waits until the fill has upstream's answer; at once for stored content. The fill's failure, or
  /// kTimeout.
  net::Task<Result<void>> wait_for_head(Deadline deadline);
  /// Waits until the whole content is verified: for what must not be answered before.
  net::Task<Result<void>> wait_until_verified(Deadline deadline);
  /// Nothing while the size is unknown.
  std::optional<Bytes> size() const;
  /// Whether the byte at `offset` may be sent now.
  bool has_byte_at(std::uint64_t offset) const;
  /// Waits until a byte at `offset` may be sent, and gives all that may be from there, up to `end`. Empty
  /// at the content's verified end. Afterwards `fd()` holds the range.
  net::Task<Result<ByteRange>> next(std::uint64_t offset, std::uint64_t end);

  /// Valid after wait_for_head; stays open as long as this reader.
  int fd() const;
  /// False where the bytes have just been written: their pages are in memory. A reader that lags behind a
  /// finished fill may find them gone.
  bool may_be_cold() const;

 private:
  std::optional<Content> content_;
  std::shared_ptr<FillState> fill_;
  std::optional<metrics::Gauge> readers_;
};

}  // namespace layover::cache
