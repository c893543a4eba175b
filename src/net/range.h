// Byte ranges on the wire (RFC 9110 14): what a Range header asks for, what it means for content of a
// known size, and Content-Range in both directions. Every number is safe from overflow.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/error.h"

namespace layover::net {

/// A request's Range header before the size of the content is known.
struct RangeRequest {
  enum class Kind {
    kNone,           // no header, another unit, or invalid (RFC 9110 14.2: then it is ignored)
    kSingle,         // from `begin` to `end` or the content's end
    kSuffix,         // the last `suffix_length` bytes
    kMultiple,       // valid, but more than one range
    kUnsatisfiable,  // whatever the size: a suffix of 0 bytes
  };

  Kind kind = Kind::kNone;
  std::uint64_t begin = 0;
  std::optional<std::uint64_t> end;  // exclusive; nothing: open-ended
  std::uint64_t suffix_length = 0;

  friend bool operator==(const RangeRequest&, const RangeRequest&) = default;
};

/// `value` is the header's value, empty where there is no such header. Numbers too large for 64 bits are
/// taken as the largest.
RangeRequest parse_range(std::string_view value);

/// What a request gets of content of `size` bytes.
struct ResolvedRange {
  enum class Kind {
    kWhole,          // 200: no range, several ranges, or a suffix of empty content
    kPart,           // 206: `range`, never empty, inside the content
    kUnsatisfiable,  // 416
  };

  Kind kind = Kind::kWhole;
  ByteRange range;  // for kWhole: all of it

  friend bool operator==(const ResolvedRange&, const ResolvedRange&) = default;
};

ResolvedRange resolve(const RangeRequest& request, std::uint64_t size);

/// The value of a Range header: "bytes=<begin>-", or up to `end` (exclusive, greater than `begin`).
std::string format_range(std::uint64_t begin, std::optional<std::uint64_t> end = std::nullopt);

/// The value of a 206's Content-Range. `range` is not empty; without a size: "bytes 0-9/*".
std::string format_content_range(ByteRange range, std::optional<std::uint64_t> size);
/// The value of a 416's Content-Range: "bytes */<size>".
std::string format_unsatisfied_range(std::uint64_t size);

/// An answer's Content-Range: a range, a size, or both.
struct ContentRange {
  std::optional<ByteRange> range;     // nothing in a 416
  std::optional<std::uint64_t> size;  // nothing where the sender does not know it

  friend bool operator==(const ContentRange&, const ContentRange&) = default;
};

/// Strict: kProtocol, source kUpstream, for anything that is not a sound Content-Range in bytes.
Result<ContentRange> parse_content_range(std::string_view value);

}  // namespace layover::net
