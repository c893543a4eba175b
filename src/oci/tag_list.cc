// Reading as a stream of events: a long list is not built up in memory only to be looked at.
#include "oci/tag_list.h"

#include <nlohmann/json.hpp>

namespace layover::oci {

namespace {

using nlohmann::json;

/// Follows where in the document the parser is. Returning false ends the parse.
class TagListReader {
 public:
  bool null() { return value(true); }
  bool boolean(bool) { return value(false); }
  bool number_integer(json::number_integer_t) { return value(false); }
  bool number_unsigned(json::number_unsigned_t) { return value(false); }
  bool number_float(json::number_float_t, const std::string&) { return value(false); }
  bool string(std::string&) { return depth_ == 2 && is_in_tags_ ? true : value(false); }
  bool binary(json::binary_t&) { return false; }
  bool start_object(std::size_t) {
    if (depth_ == 1 && is_at_tags_) return false;
    if (depth_ == 2 && is_in_tags_) return false;
    ++depth_;
    return true;
  }
  bool key(std::string& name) {
    if (depth_ == 1) is_at_tags_ = name == "tags";
    return true;
  }
  bool end_object() {
    --depth_;
    return true;
  }
  bool start_array(std::size_t) {
    if (depth_ == 0 || (depth_ == 2 && is_in_tags_)) return false;
    if (depth_ == 1 && is_at_tags_) is_in_tags_ = has_tags_ = true;
    ++depth_;
    return true;
  }
  bool end_array() {
    --depth_;
    if (depth_ == 1) is_in_tags_ = false;
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const json::exception&) { return false; }

  bool has_tags() const { return has_tags_; }

 private:
  bool value(bool may_be_tags) {
    if (depth_ == 0) return false;
    if (depth_ == 2 && is_in_tags_) return false;
    if (depth_ > 1 || !is_at_tags_) return true;
    has_tags_ = has_tags_ || may_be_tags;
    return may_be_tags;
  }

  int depth_ = 0;
  bool is_at_tags_ = false;  // the last key of the outermost object
  bool is_in_tags_ = false;
  bool has_tags_ = false;
};

}  // namespace

bool is_tag_list(std::string_view text) {
  // The parser takes a NUL byte for the end.
  if (text.find('\0') != std::string_view::npos) return false;
  TagListReader reader;
  return json::sax_parse(text.begin(), text.end(), &reader) && reader.has_tags();
}

std::string empty_tag_list(std::string_view name) {
  return json{{"name", name}, {"tags", json::array()}}.dump();
}

}  // namespace layover::oci
