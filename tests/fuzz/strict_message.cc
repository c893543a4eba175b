// A reader that gives up at whatever is not in the grammar.
#include "tests/fuzz/strict_message.h"

#include <algorithm>
#include <cstddef>

namespace layover::fuzz {
namespace {

bool equals_ignoring_case(std::string_view a, std::string_view lower) {
  return std::ranges::equal(
      a, lower, [](char x, char y) { return (x >= 'A' && x <= 'Z' ? static_cast<char>(x + 32) : x) == y; });
}

bool is_token(std::string_view text) {
  constexpr std::string_view kToken =
      "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  return !text.empty() && text.find_first_not_of(kToken) == std::string_view::npos;
}

std::string_view without_space_around(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") + 1 - begin);
}

/// Takes a line up to its CRLF; nothing where it is not there, or where the line has a CR, LF or other byte
/// that is forbidden.
std::optional<std::string_view> take_line(std::string_view& rest,
                                          std::string_view forbidden = {"\r\n\0", 3}) {
  const auto end = rest.find("\r\n");
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view line = rest.substr(0, end);
  if (line.find_first_of(forbidden) != std::string_view::npos) return std::nullopt;
  rest.remove_prefix(end + 2);
  return line;
}

/// Takes field lines up to the empty line after them. Of a line that goes on only the first is kept.
bool take_fields(std::string_view& rest, std::vector<StrictField>& fields, Kind kind) {
  for (;;) {
    const auto line = take_line(rest);
    if (!line) return false;
    if (line->empty()) return true;
    const bool goes_on = line->starts_with(' ') || line->starts_with('\t');
    if (goes_on && kind == Kind::kAnswer && !fields.empty()) continue;
    const auto colon = line->find(':');
    if (colon == std::string_view::npos || !is_token(line->substr(0, colon))) return false;
    fields.push_back({line->substr(0, colon), without_space_around(line->substr(colon + 1))});
  }
}

std::optional<std::size_t> number(std::string_view digits, std::size_t base) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  if (digits.empty() || digits.size() > 12) return std::nullopt;
  std::size_t value = 0;
  for (char c : digits) {
    if (base == 16 && c >= 'A' && c <= 'F') c = static_cast<char>(c + 32);
    const auto digit = kDigits.find(c);
    if (digit >= base) return std::nullopt;
    value = value * base + digit;
  }
  return value;
}

bool take_bytes(std::string_view& rest, std::size_t size, std::string& body) {
  if (size > rest.size()) return false;
  body += rest.substr(0, size);
  rest.remove_prefix(size);
  return true;
}

/// The line with a chunk's size.
std::optional<std::string_view> take_size_line(std::string_view& rest, Kind kind) {
  if (kind == Kind::kRequest) return take_line(rest);
  const auto end = rest.find('\r');
  if (end == std::string_view::npos || end + 2 > rest.size()) return std::nullopt;
  const std::string_view line = rest.substr(0, end);
  if (!line.contains(';') && rest[end + 1] != '\n') return std::nullopt;
  rest.remove_prefix(end + 2);
  return line;
}

// RFC 9112 7.1.
bool take_chunks(std::string_view& rest, std::string& body, Kind kind) {
  for (;;) {
    const auto line = take_size_line(rest, kind);
    if (!line) return false;
    const auto extension = line->find_first_of(" \t;");
    if (extension != std::string_view::npos) {
      const auto mark = line->find_first_not_of(" \t", extension);
      if (mark == std::string_view::npos || (*line)[mark] != ';') return false;
    }
    const auto size = number(line->substr(0, extension), 16);
    if (!size) return false;
    std::vector<StrictField> trailers;
    if (*size == 0) return take_fields(rest, trailers, kind);
    if (!take_bytes(rest, *size, body) || !rest.starts_with("\r\n")) return false;
    rest.remove_prefix(2);
  }
}

// RFC 9112 6.3; a coding other than chunked, or two announcements, are nothing that is read here.
bool take_body(std::string_view& rest, StrictMessage& message, Kind kind) {
  std::optional<std::string_view> coding;
  std::optional<std::string_view> length;
  for (const auto& [name, value] : message.fields) {
    if (equals_ignoring_case(name, "transfer-encoding")) {
      if (coding) return false;
      coding = value;
    }
    if (equals_ignoring_case(name, "content-length")) {
      if (length) return false;
      length = value;
    }
  }
  if (coding && length) return false;
  if (coding) return equals_ignoring_case(*coding, "chunked") && take_chunks(rest, message.body, kind);
  if (!length) return true;
  const auto size = number(*length, 10);
  return size && take_bytes(rest, *size, message.body);
}

}  // namespace

std::optional<StrictMessage> read_strictly(std::string_view text, BodyRule rule, Kind kind) {
  StrictMessage message;
  std::string_view rest = text;
  // RFC 9112 2.2: empty lines in front are ignored.
  while (rest.starts_with("\r\n")) rest.remove_prefix(2);
  const auto line = kind == Kind::kAnswer ? take_line(rest, "\r\n") : take_line(rest);
  if (!line || line->empty() || !take_fields(rest, message.fields, kind)) return std::nullopt;
  message.start_line = *line;
  if (rule == BodyRule::kAsAnnounced && !take_body(rest, message, kind)) return std::nullopt;
  message.size = text.size() - rest.size();
  return message;
}

}  // namespace layover::fuzz
