// Escaping. Harmless characters are copied in runs: nearly every text is one run.
#include "base/log_text.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>

#include "base/ascii.h"

namespace layover {

namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD

constexpr bool is_between(std::uint8_t byte, std::uint8_t low, std::uint8_t high) {
  return byte >= low && byte <= high;
}

/// The length of the well-formed UTF-8 sequence that `text`, which is not empty, starts with; 0 where it
/// starts with none (Unicode, table 3-7).
std::size_t sequence_length(std::string_view text) {
  const auto byte = [text](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = is_between(first, 0xc2, 0xdf)   ? 2
                             : is_between(first, 0xe0, 0xef) ? 3
                             : is_between(first, 0xf0, 0xf4) ? 4
                                                             : 0;
  if (length == 0 || text.size() < length) return 0;
  // Neither longer than needed, nor a surrogate, nor beyond U+10FFFF.
  const std::uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
  const std::uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  if (!is_between(byte(1), low, high)) return 0;
  for (std::size_t i = 2; i < length; ++i) {
    if (!is_between(byte(i), 0x80, 0xbf)) return 0;
  }
  return length;
}

void append_hex(LogBuffer& line, std::uint8_t byte) {
  fmt::format_to(std::back_inserter(line), "\\x{:02x}", byte);
}

/// One character that a JSON string cannot hold as it is, at the start of `text`. Gives its length.
std::size_t append_json_escape(LogBuffer& line, std::string_view text) {
  const auto byte = static_cast<std::uint8_t>(text[0]);
  const std::size_t length = sequence_length(text);
  if (length == 0) {
    append(line, kReplacement);
    return 1;
  }
  switch (text[0]) {
    case '"': append(line, "\\\""); break;
    case '\\': append(line, "\\\\"); break;
    case '\n': append(line, "\\n"); break;
    case '\r': append(line, "\\r"); break;
    case '\t': append(line, "\\t"); break;
    default:
      if (length == 1) {
        fmt::format_to(std::back_inserter(line), "\\u{:04x}", byte);
      } else if (length == 2 && byte == 0xc2 && static_cast<std::uint8_t>(text[1]) < 0xa0) {  // C1
        fmt::format_to(std::back_inserter(line), "\\u{:04x}", static_cast<std::uint8_t>(text[1]));
      } else {
        append(line, text.substr(0, length));
      }
  }
  return length;
}

/// Copies `text`; wherever `is_harmless` is false for a character, `escape` appends it and gives its length.
template <typename IsHarmless, typename Escape>
void append_runs(LogBuffer& line, std::string_view text, IsHarmless is_harmless, Escape escape) {
  while (!text.empty()) {
    const auto end = std::ranges::find_if_not(text, is_harmless);
    const auto run = static_cast<std::size_t>(end - text.begin());
    append(line, text.substr(0, run));
    text.remove_prefix(run);
    if (!text.empty()) text.remove_prefix(escape(text));
  }
}

/// `value`, which is not negative, as the last digits of `count`.
template <typename Number>
void put_digits(char* to, int count, Number value) {
  for (int i = count - 1; i >= 0; --i) {
    to[i] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
}

}  // namespace

// By hand: every request that is logged has one, and a format costs five times as much.
void append_time(LogBuffer& line, WallTime time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  char text[] = "0000-00-00T00:00:00.000Z";
  put_digits(text, 4, static_cast<int>(date.year()));
  put_digits(text + 5, 2, static_cast<unsigned>(date.month()));
  put_digits(text + 8, 2, static_cast<unsigned>(date.day()));
  put_digits(text + 11, 2, clock.hours().count());
  put_digits(text + 14, 2, clock.minutes().count());
  put_digits(text + 17, 2, clock.seconds().count());
  put_digits(text + 20, 3, clock.subseconds().count());
  append(line, {text, sizeof text - 1});
}

void append_json_string(LogBuffer& line, std::string_view text) {
  line.push_back('"');
  append_runs(
      line, text, [](char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; },
      [&line](std::string_view rest) { return append_json_escape(line, rest); });
  line.push_back('"');
}

void append_quoted(LogBuffer& line, std::string_view text) {
  line.push_back('"');
  append_runs(
      line, text, [](char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; },
      [&line](std::string_view rest) -> std::size_t {
        if (rest[0] == '"' || rest[0] == '\\') {
          line.push_back('\\');
          line.push_back(rest[0]);
        } else {
          append_hex(line, static_cast<std::uint8_t>(rest[0]));
        }
        return 1;
      });
  line.push_back('"');
}

void append_printable(LogBuffer& line, std::string_view text) {
  append_runs(
      line, text, [](char c) { return !is_control(c); },
      [&line](std::string_view rest) -> std::size_t {
        append_hex(line, static_cast<std::uint8_t>(rest[0]));
        return 1;
      });
}

}  // namespace layover
