// An amount of space on the cache's file system: absolute, or a share of the file system, whose size is
// known only once the cache is opened.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace layover::config {

struct Space {
  std::optional<unsigned> percent{};  // 0 to 100, of the file system's size; absent: `bytes` counts
  Bytes bytes{};

  static constexpr Space share(unsigned percent) { return {.percent = percent, .bytes = {}}; }
  static constexpr Space absolute(Bytes bytes) { return {.percent = {}, .bytes = bytes}; }

  constexpr bool is_zero() const { return percent.value_or(0) == 0 && bytes.count == 0; }
  /// The amount on a file system of `total` bytes; an absolute one may be more than that.
  Bytes of(Bytes total) const;

  friend bool operator==(const Space&, const Space&) = default;
};

/// "80%" (a whole number up to 100) or a size with its unit; nothing for any other text.
std::optional<Space> parse_space(std::string_view text);
/// As parse_space() reads it.
std::string to_string(const Space& space);

}  // namespace layover::config
