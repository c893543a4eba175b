// Byte ranges on the wire: Range and Content-Range (RFC 9110 14).
#include "net/range.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "base/ascii.h"

namespace layover::net {
namespace {

constexpr std::uint64_t kLargest = std::numeric_limits<std::uint64_t>::max();

// Takes the digits at the front of `text`; nothing if there are none, the largest number if it is larger.
std::optional<std::uint64_t> take_number(std::string_view& text) {
  if (text.empty() || !is_digit(text.front())) return std::nullopt;
  std::uint64_t number = 0;
  for (; !text.empty() && is_digit(text.front()); text.remove_prefix(1)) {
    const auto digit = static_cast<std::uint64_t>(text.front() - '0');
    number = number > (kLargest - digit) / 10 ? kLargest : number * 10 + digit;
  }
  return number;
}

bool take(std::string_view& text, char expected) {
  if (!text.starts_with(expected)) return false;
  text.remove_prefix(1);
  return true;
}

bool starts_with_bytes_unit(std::string_view value, char separator) {
  constexpr std::string_view kUnit = "bytes";
  if (value.size() <= kUnit.size() || value[kUnit.size()] != separator) return false;
  return std::ranges::equal(value.substr(0, kUnit.size()), kUnit,
                            [](char a, char b) { return (a | 0x20) == b; });
}

// One range-spec (RFC 9110 14.1.1); nothing if it is invalid.
std::optional<RangeSpec> parse_spec(std::string_view text) {
  RangeSpec spec;
  if (take(text, '-')) {
    spec.suffix_length = take_number(text);
    if (!spec.suffix_length || !text.empty()) return std::nullopt;
    return spec;
  }
  const auto first = take_number(text);
  if (!first || !take(text, '-')) return std::nullopt;
  spec.begin = *first;
  if (text.empty()) return spec;
  const auto last = take_number(text);
  if (!last || !text.empty() || *last < *first) return std::nullopt;
  spec.end = *last == kLargest ? kLargest : *last + 1;
  return spec;
}

// The bytes that it means; nothing where it is unsatisfiable. Empty for a suffix of empty content.
std::optional<ByteRange> resolve_one(const RangeSpec& spec, std::uint64_t size) {
  if (spec.suffix_length) {
    // RFC 9110 14.1.2: a suffix of 0 bytes is unsatisfiable.
    if (*spec.suffix_length == 0) return std::nullopt;
    return ByteRange{size - std::min(size, *spec.suffix_length), size};
  }
  if (spec.begin >= size) return std::nullopt;
  return ByteRange{spec.begin, std::min(spec.end.value_or(size), size)};
}

ResolvedRange whole(std::uint64_t size) { return {ResolvedRange::Kind::kWhole, {0, size}}; }

std::unexpected<Error> bad_content_range(std::string_view value) {
  return failure(ErrorCode::kProtocol, ErrorSource::kUpstream,
                 fmt::format("the answer's Content-Range {:?} makes no sense", value.substr(0, 100)));
}

}  // namespace

RangeRequest parse_range(std::string_view value) {
  value = trim(value);
  if (!starts_with_bytes_unit(value, '=')) return {};
  std::string_view specs = value.substr(value.find('=') + 1);

  RangeRequest found;
  while (!specs.empty()) {
    const std::size_t comma = std::min(specs.find(','), specs.size());
    const std::string_view element = trim(specs.substr(0, comma));
    specs.remove_prefix(std::min(comma + 1, specs.size()));
    if (element.empty()) continue;  // RFC 9110 5.6.1.2: empty list elements count for nothing
    const auto spec = parse_spec(element);
    if (!spec || found.size() == kMostRanges) return {};
    found.push_back(*spec);
  }
  return found;
}

ResolvedRange resolve(const RangeRequest& request, std::uint64_t size) {
  if (request.empty()) return whole(size);
  std::vector<ByteRange> parts;
  std::uint64_t left = size;
  for (const RangeSpec& spec : request) {
    const auto part = resolve_one(spec, size);
    if (!part) continue;
    // Satisfiable by empty content (RFC 9110 14.1.2), but a 206 cannot express it.
    if (part->empty() || part->length() > left) return whole(size);
    left -= part->length();
    parts.push_back(*part);
  }
  if (parts.empty()) return {ResolvedRange::Kind::kUnsatisfiable, {}};
  if (parts.size() == 1) return {ResolvedRange::Kind::kPart, parts.front()};
  return {ResolvedRange::Kind::kParts, {}, std::move(parts)};
}

std::string format_range(std::uint64_t begin, std::optional<std::uint64_t> end) {
  return end ? fmt::format("bytes={}-{}", begin, *end - 1) : fmt::format("bytes={}-", begin);
}

std::string format_content_range(ByteRange range, std::optional<std::uint64_t> size) {
  if (!size) return fmt::format("bytes {}-{}/*", range.begin, range.end - 1);
  return fmt::format("bytes {}-{}/{}", range.begin, range.end - 1, *size);
}

std::string format_unsatisfied_range(std::uint64_t size) { return fmt::format("bytes */{}", size); }

Result<ContentRange> parse_content_range(std::string_view value) {
  std::string_view rest = trim(value);
  if (!starts_with_bytes_unit(rest, ' ')) return bad_content_range(value);
  rest.remove_prefix(rest.find(' ') + 1);

  // A number at the limit is one that did not fit.
  ContentRange parsed;
  if (!take(rest, '*')) {
    const auto first = take_number(rest);
    if (!first || !take(rest, '-')) return bad_content_range(value);
    const auto last = take_number(rest);
    if (!last || *last < *first || *last == kLargest) return bad_content_range(value);
    parsed.range = ByteRange{*first, *last + 1};
  }
  if (!take(rest, '/')) return bad_content_range(value);
  if (!take(rest, '*')) {
    parsed.size = take_number(rest);
    if (!parsed.size || *parsed.size == kLargest) return bad_content_range(value);
  }
  const bool is_contradictory = parsed.range && parsed.size && parsed.range->end > *parsed.size;
  const bool says_nothing = !parsed.range && !parsed.size;
  if (!rest.empty() || is_contradictory || says_nothing) return bad_content_range(value);
  return parsed;
}

}  // namespace layover::net
