// Shares are rounded down, without passing the range of a byte count on the way.
#include "config/space.h"

#include <fmt/format.h>

#include "base/ascii.h"
#include "config/units.h"

namespace layover::config {

Bytes Space::of(Bytes total) const {
  if (!percent) return bytes;
  return {total.count / 100 * *percent + total.count % 100 * *percent / 100};
}

std::optional<Space> parse_space(std::string_view text) {
  if (text.ends_with('%')) {
    text.remove_suffix(1);
    const auto percent = parse_decimal<unsigned>(text);
    if (!percent || *percent > 100) return std::nullopt;
    return Space::share(*percent);
  }
  const auto size = parse_size(text);
  if (!size) return std::nullopt;
  return Space::absolute(*size);
}

std::string to_string(const Space& space) {
  return space.percent ? fmt::format("{}%", *space.percent) : size_text(space.bytes);
}

}  // namespace layover::config
