// ASCII text as protocols have it: classes of characters, letter case, white space, numbers. Unlike <cctype>,
// never a matter of the locale, and safe with any byte.
#pragma once

#include <algorithm>
#include <charconv>
#include <concepts>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

namespace layover {

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_lower_letter(char c) { return c >= 'a' && c <= 'z'; }
constexpr bool is_letter(char c) { return is_lower_letter(c) || (c >= 'A' && c <= 'Z'); }
constexpr bool is_alphanumeric(char c) { return is_letter(c) || is_digit(c); }

/// A character of a token, such as a method or a header's name (RFC 9110 5.6.2).
constexpr bool is_token_character(char c) {
  return is_alphanumeric(c) || std::string_view("!#$%&'*+-.^_`|~").contains(c);
}

constexpr bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, is_token_character);
}

/// What a terminal obeys and a header must not hold: C0 and DEL.
constexpr bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

constexpr bool has_control_character(std::string_view text) { return std::ranges::any_of(text, is_control); }

/// A character that shows: no space, no control character, no byte of UTF-8.
constexpr bool is_visible(char c) { return c > 0x20 && c < 0x7f; }

constexpr char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

inline std::string to_lower(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(), [](char c) { return to_lower(c); });
  return lower;
}

/// As header names, schemes, hosts and media types are compared (RFC 9110 5.1).
constexpr bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return to_lower(x) == to_lower(y); });
}

/// `text` without the optional white space (RFC 9110 5.6.3: spaces and tabs) at both ends.
constexpr std::string_view trim(std::string_view text) {
  constexpr std::string_view kOptionalSpace = " \t";
  text.remove_prefix(std::min(text.find_first_not_of(kOptionalSpace), text.size()));
  return text.substr(0, text.find_last_not_of(kOptionalSpace) + 1);  // npos + 1 is 0
}

/// The decimal number that all of `text` is; nothing if it is anything else, or too large for the type.
/// Leading zeros are fine.
template <std::unsigned_integral Number>
std::optional<Number> parse_decimal(std::string_view text) {
  Number number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || rest != end) return std::nullopt;
  return number;
}

}  // namespace layover
