// What the cache needs of upstream, for one piece of content: to be told whether it may be had, and to
// be given its bytes. Implemented by upstream/, so that the cache is tested without a network.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/deadline.h"
#include "base/error.h"
#include "net/task.h"

namespace layover::cache {

/// What upstream says about the content before its bytes.
struct SourceHead {
  std::optional<Bytes> size;  // of the whole; nothing where upstream does not say
  std::string content_type;   // as sent, perhaps empty
  std::uint64_t begin = 0;    // which of the content's bytes the stream's first one is
  bool takes_ranges = true;   // false where upstream says that it gives no parts

  /// Whether upstream speaks of as many bytes as are stored, where it says and something is.
  bool fits(std::optional<Bytes> stored) const { return !stored || !size || *size == *stored; }
};

/// The part of the content that a stream is to bring.
struct SourceRange {
  std::uint64_t begin = 0;
  std::optional<std::uint64_t> end{};  // nothing: to the content's end
  std::optional<Bytes> size{};         // of the content as upstream has told before: it must not have changed
  bool is_extra = false;               // others bring the content: what is said to this one concerns no other

  bool is_part() const { return begin > 0 || end.has_value(); }
};

/// The body of upstream's answer. Lives on the loop that opened it; owned by one task.
class SourceStream {
 public:
  virtual ~SourceStream() = default;

  virtual const SourceHead& head() const = 0;
  /// At least one byte; 0 at the complete end. kTimeout where no byte comes for the idle time or until
  /// `deadline`; kShortBody where the body ends early.
  virtual net::Task<Result<std::size_t>> read(std::span<std::byte> into, Deadline deadline) = 0;
  /// Whether read() has something to give by `deadline`.
  virtual net::Task<bool> has_more_by(Deadline /*deadline*/) { co_return true; }
};

/// Whether something stored can stand in for upstream's answer.
enum class Fallback : bool { kNone, kStored };

/// One content in one repository of one registry. Shared by the tasks of one request and the fill that
/// it may start, which can outlive the request; used on one loop at a time.
class Source {
 public:
  virtual ~Source() = default;

  /// Asks upstream (HEAD) whether the content may be read. An error that is no outage, such as 404, is
  /// upstream's verdict and carries its answer. With a fallback, an upstream that is known to be down is not
  /// waited for. `stored` is the size of what is stored of it: where a HEAD gives another, a GET of the first
  /// byte is asked too, and kProtocol is where that contradicts as well.
  virtual net::Task<Result<SourceHead>> confirm(Fallback fallback, std::optional<Bytes> stored,
                                                Deadline deadline) = 0;
  /// Starts the download (GET) of `range`. An upstream that gives no ranges sends the whole: the stream's
  /// head tells. kProtocol where it sends another part, or of another size, than was asked for.
  virtual net::Task<Result<std::unique_ptr<SourceStream>>> open(SourceRange range, Deadline deadline) = 0;
  /// What its streams brought was not the content. Mirrors that had a part in it are not asked for it again
  /// for a while; true where none had, so that it can only be the registry's own url.
  virtual bool blame() { return true; }
};

}  // namespace layover::cache
