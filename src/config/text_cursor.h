// Follows a JSON parser through the text, one token at a time, to say where each token stands. It relies
// on the parser having accepted the tokens that it is led over.
#pragma once

#include <cstddef>
#include <string_view>

#include "config/report.h"

namespace layover::config {

class TextCursor {
 public:
  /// `text` outlives the cursor.
  explicit TextCursor(std::string_view text) : text_(text) {}

  /// Goes on to the start of the next token: over white space, comments, commas and colons.
  void find_token();
  /// Goes on to the end of the token here and gives its text.
  std::string_view take_token();

  Position position() const { return position_; }
  bool is_at_end() const { return offset_ == text_.size(); }
  /// Whether the last find_token() went over a comma.
  bool is_after_comma() const { return is_after_comma_; }
  /// The next byte; not at the end.
  char peek() const { return text_[offset_]; }

  /// Goes on to a byte of the text, or to its end if the offset is past it.
  void advance_to(std::size_t offset);

 private:
  void advance();
  void skip_comment();

  std::string_view text_;
  std::size_t offset_ = 0;
  Position position_;
  bool is_after_comma_ = false;
};

}  // namespace layover::config
