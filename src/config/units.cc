// The grammar of sizes and durations.
#include "config/units.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <system_error>

namespace layover::config {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

// Largest first: a duration's parts come in this order.
constexpr std::array<Unit, 5> kTimeUnits = {
    {{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}}};

constexpr std::array<Unit, 13> kSizeUnits = {{{"B", 1},
                                              {"KB", 1'000},
                                              {"MB", 1'000'000},
                                              {"GB", 1'000'000'000},
                                              {"TB", 1'000'000'000'000},
                                              {"KiB", 1ULL << 10},
                                              {"MiB", 1ULL << 20},
                                              {"GiB", 1ULL << 30},
                                              {"TiB", 1ULL << 40},
                                              {"Ki", 1ULL << 10},
                                              {"Mi", 1ULL << 20},
                                              {"Gi", 1ULL << 30},
                                              {"Ti", 1ULL << 40}}};

// Long before the arithmetic of clocks overflows.
constexpr std::uint64_t kLongestDuration = 100 * 365 * kTimeUnits.front().factor;

// Cuts a number off the front of `rest`; nothing if there is none or it is out of range.
std::optional<std::uint64_t> take_number(std::string_view& rest) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (error != std::errc()) return std::nullopt;
  rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
  return value;
}

std::optional<std::uint64_t> multiply(std::uint64_t a, std::uint64_t b) {
  if (b != 0 && a > std::numeric_limits<std::uint64_t>::max() / b) return std::nullopt;
  return a * b;
}

}  // namespace

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  if (text.empty()) return std::nullopt;
  std::uint64_t total = 0;
  std::size_t first_allowed = 0;
  while (!text.empty()) {
    const auto number = take_number(text);
    const auto name = text.substr(0, text.find_first_of("0123456789"));
    text.remove_prefix(name.size());
    auto unit = first_allowed;
    while (unit < kTimeUnits.size() && kTimeUnits[unit].name != name) ++unit;
    if (!number || unit == kTimeUnits.size()) return std::nullopt;
    const auto part = multiply(*number, kTimeUnits[unit].factor);
    if (!part || *part > kLongestDuration || total + *part > kLongestDuration) return std::nullopt;
    total += *part;
    first_allowed = unit + 1;
  }
  return std::chrono::milliseconds(static_cast<std::int64_t>(total));
}

std::optional<Bytes> parse_size(std::string_view text) {
  const auto number = take_number(text);
  if (!number) return std::nullopt;
  for (const Unit& unit : kSizeUnits) {
    if (unit.name != text) continue;
    const auto count = multiply(*number, unit.factor);
    if (!count) return std::nullopt;
    return Bytes{*count};
  }
  return std::nullopt;
}

std::string duration_text(std::chrono::milliseconds duration) {
  std::string text;
  auto rest = static_cast<std::uint64_t>(duration.count());
  for (const Unit& unit : kTimeUnits) {
    if (rest >= unit.factor) text += fmt::format("{}{}", rest / unit.factor, unit.name);
    rest %= unit.factor;
  }
  return text.empty() ? "0s" : text;
}

std::string size_text(Bytes size) {
  for (const std::string_view name : {"TiB", "GiB", "MiB", "KiB"}) {
    const auto unit = std::ranges::find(kSizeUnits, name, &Unit::name);
    if (size.count >= unit->factor && size.count % unit->factor == 0) {
      return fmt::format("{}{}", size.count / unit->factor, name);
    }
  }
  return fmt::format("{}B", size.count);
}

}  // namespace layover::config
