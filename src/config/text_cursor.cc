// Tokens of JSON with comments, as far as their ends go.
#include "config/text_cursor.h"

namespace layover::config {

void TextCursor::advance() {
  const char c = text_[offset_++];
  if (c == '\n') {
    ++position_.line;
    position_.column = 1;
    return;
  }
  // The further bytes of a UTF-8 sequence belong to the character that its first byte has counted.
  const bool is_continuation =
      offset_ < text_.size() && (static_cast<unsigned char>(text_[offset_]) & 0xC0U) == 0x80U;
  if (!is_continuation) ++position_.column;
}

void TextCursor::advance_to(std::size_t offset) {
  while (!is_at_end() && offset_ < offset) advance();
}

void TextCursor::skip_comment() {
  const bool is_block = text_.substr(offset_).starts_with("/*");
  const auto end = is_block ? text_.find("*/", offset_ + 2) : text_.find_first_of("\r\n", offset_);
  advance_to(end == std::string_view::npos ? text_.size() : end + (is_block ? 2 : 0));
}

void TextCursor::find_token() {
  is_after_comma_ = false;
  while (!is_at_end()) {
    if (text_.substr(offset_).starts_with("//") || text_.substr(offset_).starts_with("/*")) {
      skip_comment();
      continue;
    }
    if (std::string_view(" \t\r\n,:").find(peek()) == std::string_view::npos) return;
    is_after_comma_ = is_after_comma_ || peek() == ',';
    advance();
  }
}

std::string_view TextCursor::take_token() {
  const auto start = offset_;
  if (is_at_end()) return {};
  const char first = peek();
  advance();
  if (first == '"') {
    while (!is_at_end() && peek() != '"') {
      if (peek() == '\\') advance();
      if (!is_at_end()) advance();
    }
    if (!is_at_end()) advance();
  } else if (std::string_view("{}[]").find(first) == std::string_view::npos) {
    // A number or a word ends before anything that cannot be part of one.
    const auto end = text_.find_first_of(" \t\r\n,:{}[]\"/", offset_);
    advance_to(end == std::string_view::npos ? text_.size() : end);
  }
  return text_.substr(start, offset_ - start);
}

}  // namespace layover::config
