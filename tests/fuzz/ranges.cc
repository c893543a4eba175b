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

void check_resolved(const RangeRequest& request, std::uint64_t size) {
  const ResolvedRange resolved = resolve(request, size);
  switch (resolved.kind) {
    case ResolvedRange::Kind::kWhole:
      require(resolved.range == ByteRange{0, size}, "the whole is all of the content");
      require(request.kind != RangeRequest::Kind::kSingle, "a single range is never all of the content");
      return;
    case ResolvedRange::Kind::kUnsatisfiable: return;
    case ResolvedRange::Kind::kPart: break;
  }
  require(resolved.range.begin < resolved.range.end && resolved.range.end <= size,
          "a part is not empty and lies within the content");
  if (request.kind == RangeRequest::Kind::kSingle) {
    require(resolved.range.begin == request.begin, "a part begins where it was asked for");
    require(!request.end || resolved.range.end <= *request.end, "a part ends no later than it was asked for");
  } else {
    require(resolved.range.end == size && size - resolved.range.begin <= request.suffix_length,
            "a suffix ends with the content and is no longer than it was asked for");
  }
  if (size == kLargest) return;  // stands for a number that did not fit
  const auto written = parse_content_range(format_content_range(resolved.range, size));
  require(written && written->range == resolved.range && written->size == size,
          "an answer's Content-Range is read as it was written");
}

void check_request(std::string_view value) {
  const RangeRequest request = parse_range(value);
  for (const std::uint64_t size : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1000}, kLargest}) {
    check_resolved(request, size);
  }
  // The sizes at which something changes.
  for (const std::uint64_t edge : {request.begin, request.end.value_or(0), request.suffix_length}) {
    for (const std::uint64_t size : {edge - 1, edge, edge + 1}) check_resolved(request, size);
  }
  if (request.kind != RangeRequest::Kind::kSingle || request.end.value_or(kLargest) <= request.begin) return;
  require(parse_range(format_range(request.begin, request.end)) == request,
          "a Range is read as it was written");
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
