// Range of a request and Content-Range of an answer: a range lies within the content, and what is written is
// read as the same.
#include <cstdint>
#include <limits>

#include "net/range.h"
#include "tests/fuzz/fuzz.h"

namespace layover::fuzz {
namespace {

using namespace net;

constexpr std::uint64_t kLargest = std::numeric_limits<std::uint64_t>::max();

void check_part(ByteRange part, std::uint64_t size) {
  require(part.begin < part.end && part.end <= size, "a part is not empty and lies within the content");
  if (size == kLargest) return;  // stands for a number that did not fit
  const auto written = parse_content_range(format_content_range(part, size));
  require(written && written->range == part && written->size == size,
          "an answer's Content-Range is read as it was written");
}

void check_only_part(const RangeSpec& asked, ByteRange part, std::uint64_t size) {
  if (asked.suffix_length) {
    require(part.end == size && part.length() <= *asked.suffix_length,
            "a suffix ends with the content and is no longer than it was asked for");
    return;
  }
  require(part.begin == asked.begin, "a part begins where it was asked for");
  require(!asked.end || part.end <= *asked.end, "a part ends no later than it was asked for");
}

void check_resolved(const RangeRequest& request, std::uint64_t size) {
  const ResolvedRange resolved = resolve(request, size);
  switch (resolved.kind) {
    case ResolvedRange::Kind::kWhole:
      require(resolved.range == ByteRange{0, size}, "the whole is all of the content");
      require(request.size() != 1 || request.front().suffix_length,
              "a single range with a beginning is never all of the content");
      return;
    case ResolvedRange::Kind::kUnsatisfiable: return;
    case ResolvedRange::Kind::kPart:
      check_part(resolved.range, size);
      if (request.size() == 1) check_only_part(request.front(), resolved.range, size);
      return;
    case ResolvedRange::Kind::kParts: break;
  }
  std::uint64_t left = size;
  for (const ByteRange part : resolved.parts) {
    check_part(part, size);
    require(part.length() <= left, "all parts together are no more than the content");
    left -= part.length();
  }
  require(resolved.parts.size() > 1 && resolved.parts.size() <= request.size(),
          "there are parts to tell apart");
}

void check_request(std::string_view value) {
  const RangeRequest request = parse_range(value);
  require(request.size() <= kMostRanges, "no more ranges are heeded than there may be");
  for (const std::uint64_t size : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1000}, kLargest}) {
    check_resolved(request, size);
  }
  if (request.empty()) return;
  // The sizes at which something changes.
  const RangeSpec& first = request.front();
  for (const std::uint64_t edge : {first.begin, first.end.value_or(0), first.suffix_length.value_or(0)}) {
    for (const std::uint64_t size : {edge - 1, edge, edge + 1}) check_resolved(request, size);
  }
  if (request.size() > 1 || first.suffix_length || first.end.value_or(kLargest) <= first.begin) return;
  require(parse_range(format_range(first.begin, first.end)) == request, "a Range is read as it was written");
}

void check_answer(std::string_view value) {
  const auto answer = parse_content_range(value);
  if (!answer) return;
  require(answer->range || answer->size, "a Content-Range says something");
  if (!answer->range) {
    require(parse_content_range(format_unsatisfied_range(*answer->size)) == *answer,
            "a size is read as it was written");
    return;
  }
  require(answer->range->begin < answer->range->end, "a range is not empty");
  require(!answer->size || answer->range->end <= *answer->size, "a range lies within the size");
  require(parse_content_range(format_content_range(*answer->range, answer->size)) == *answer,
          "a Content-Range is read as it was written");
}

}  // namespace

void fuzz(std::string_view input) {
  check_request(input);
  check_answer(input);
}

}  // namespace layover::fuzz
