// Byte ranges on the wire (RFC 9110 14): what a Range header asks for, what it means for content of a
// known size, and Content-Range in both directions. Every number is safe from overflow.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"

namespace layover::net {

/// One range of a Range header, before the size of the content is known.
struct RangeSpec {
  std::uint64_t begin = 0;
  std::optional<std::uint64_t> end;            // exclusive; nothing: open-ended
  std::optional<std::uint64_t> suffix_length;  // the last so many bytes, whatever `begin` and `end`

  friend bool operator==(const RangeSpec&, const RangeSpec&) = default;
};

/// What a request's Range header asks for, in its order. Empty: the whole content.
using RangeRequest = std::vector<RangeSpec>;

/// No request for more is heeded. podman asks for up to 1024 chunks of a layer at once.
inline constexpr std::size_t kMostRanges = 1024;

/// `value` is the header's value, empty where there is no such header. Another unit, an invalid range or more
/// than kMostRanges: the header is ignored (RFC 9110 14.2). Numbers too large for 64 bits are taken as the
/// largest.
RangeRequest parse_range(std::string_view value);

/// What a request gets of content of `size` bytes.
struct ResolvedRange {
  enum class Kind {
    kWhole,          // 200: no range, more than the content in several, or a suffix of empty content
    kPart,           // 206: `range`, never empty, inside the content
    kParts,          // 206 in several parts
    kUnsatisfiable,  // 416
  };

  Kind kind = Kind::kWhole;
  ByteRange range;                 // for kWhole: all of it
  std::vector<ByteRange> parts{};  // of kParts: two or more like `range`, as asked for and in that order

  friend bool operator==(const ResolvedRange&, const ResolvedRange&) = default;
};

/// Of several ranges those that are unsatisfiable are left out. Ranges that add up to more than the content
/// overlap: then all of it is less work (RFC 9110 14.2).
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
