// The SAX handler that builds the tree, and the words for syntax errors.
#include "config/document.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/ascii.h"
#include "config/text_cursor.h"

namespace layover::config {
namespace {

constexpr std::size_t kDeepest = 32;

/// The parser's reason without its prefix, which tells a position, and without the text that it read,
/// which may be anything.
std::string reason_of(std::string_view what) {
  if (const auto bracket = what.find("] "); bracket != std::string_view::npos) {
    what.remove_prefix(bracket + 2);
  }
  if (const auto dash = what.find(" - "); dash != std::string_view::npos) what.remove_prefix(dash + 3);
  const auto last_read = what.find("; last read: '");
  if (last_read == std::string_view::npos) return std::string(what);
  const auto expected = what.rfind("; expected ");
  const bool has_expected = expected != std::string_view::npos && expected > last_read;
  return std::string(what.substr(0, last_read)) + std::string(has_expected ? what.substr(expected) : "");
}

class TreeBuilder {
 public:
  TreeBuilder(std::string_view text, Report& report) : text_(text), cursor_(text), report_(report) {}

  Node take() { return std::move(root_); }

  // The interface that nlohmann::json::sax_parse calls. Returning false ends the parse.
  bool null() { return add(Node::Kind::kNull); }
  bool boolean(bool value) { return add(Node::Kind::kBoolean, {}, value); }
  bool number_integer(std::int64_t) { return add(Node::Kind::kNumber); }
  bool number_unsigned(std::uint64_t) { return add(Node::Kind::kNumber); }
  bool number_float(double, const std::string&) { return add(Node::Kind::kNumber); }
  bool string(std::string& value) { return add(Node::Kind::kText, std::move(value)); }
  bool binary(nlohmann::json::binary_t&) { return false; }
  bool start_object(std::size_t) { return open(Node::Kind::kObject); }
  bool start_array(std::size_t) { return open(Node::Kind::kList); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool key(std::string& name);
  bool parse_error(std::size_t offset, const std::string& last_token, const nlohmann::json::exception& error);

 private:
  /// An object or list that is not closed yet. The node stays where it is: its parent gets no further
  /// children before it is closed.
  struct Frame {
    Node* node;
    std::string path;
    std::map<std::string, Position> keys;
    std::string key{};         // just read
    bool is_repeated = false;  // it was there before
  };

  /// Where the next value goes, and its path.
  std::pair<Node*, std::string> next_slot();
  bool add(Node::Kind kind, std::string text = {}, bool boolean = false);
  bool open(Node::Kind kind);
  bool close();

  std::string_view text_;
  TextCursor cursor_;
  Report& report_;
  Node root_;
  std::deque<Node> discarded_;  // the values of repeated keys; open frames may be in any of them
  std::vector<Frame> open_;
};

std::pair<Node*, std::string> TreeBuilder::next_slot() {
  if (open_.empty()) return {&root_, ""};
  Frame& frame = open_.back();
  if (frame.node->kind == Node::Kind::kList) {
    auto& items = frame.node->items;
    items.emplace_back();
    return {&items.back(), item_path(frame.path, items.size() - 1)};
  }
  Node& node = frame.is_repeated ? discarded_.emplace_back() : frame.node->members.back().value;
  return {&node, member_path(frame.path, frame.key)};
}

bool TreeBuilder::add(Node::Kind kind, std::string text, bool boolean) {
  cursor_.find_token();
  Node* node = next_slot().first;
  node->kind = kind;
  node->position = cursor_.position();
  node->boolean = boolean;
  const auto token = cursor_.take_token();
  node->text = kind == Node::Kind::kNumber ? std::string(token) : std::move(text);
  return true;
}

bool TreeBuilder::open(Node::Kind kind) {
  cursor_.find_token();
  if (open_.size() == kDeepest) {
    report_.add(cursor_.position(), {}, fmt::format("nested deeper than {} levels", kDeepest));
    return false;
  }
  auto [node, path] = next_slot();
  node->kind = kind;
  node->position = cursor_.position();
  cursor_.take_token();
  open_.push_back({node, std::move(path), {}});
  return true;
}

bool TreeBuilder::close() {
  cursor_.find_token();
  cursor_.take_token();
  open_.pop_back();
  return true;
}

bool TreeBuilder::key(std::string& name) {
  cursor_.find_token();
  Frame& frame = open_.back();
  const auto position = cursor_.position();
  cursor_.take_token();
  const auto [first, is_new] = frame.keys.emplace(name, position);
  frame.key = name;
  frame.is_repeated = !is_new;
  if (is_new) {
    frame.node->members.push_back({name, position, {}});
  } else {
    report_.add(position, member_path(frame.path, name),
                fmt::format("given twice, first on line {}", first->second.line));
  }
  return true;
}

bool TreeBuilder::parse_error(std::size_t offset, const std::string&,
                              const nlohmann::json::exception& error) {
  const std::string_view what = error.what();
  std::string message = "not valid JSON: " + reason_of(what);
  // The parser's offset is the end of what it read: exact inside a token that is malformed in itself,
  // else past the token that stands where another was due.
  const bool is_second_comma = what.find("unexpected ','") != std::string_view::npos;
  if (is_second_comma || what.find("; last read: '") != std::string_view::npos) {
    cursor_.advance_to(offset == 0 ? 0 : offset - 1);
  } else {
    cursor_.find_token();
    const bool is_closing = !cursor_.is_at_end() && (cursor_.peek() == '}' || cursor_.peek() == ']');
    if (is_closing && cursor_.is_after_comma()) message += " (the comma before it is one too many)";
  }
  if (text_.find_first_not_of(" \t\r\n") == std::string_view::npos) {
    message = "the file is empty; write {} for the defaults";
  }
  report_.add(cursor_.position(), {}, std::move(message));
  return false;
}

bool is_plain_word(std::string_view key) {
  const auto is_plain = [](char c) { return is_letter(c) || c == '_'; };
  return !key.empty() && std::ranges::all_of(key, is_plain);
}

}  // namespace

std::optional<Node> read_document(std::string_view text, Report& report) {
  static constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  // The parser takes a NUL for the end of its input and would leave what follows unread.
  if (const auto nul = text.find('\0'); nul != std::string_view::npos) {
    TextCursor cursor(text);
    cursor.advance_to(nul);
    report.add(cursor.position(), {}, "not valid JSON: a NUL character");
    return std::nullopt;
  }
  TreeBuilder builder(text, report);
  const bool is_valid = nlohmann::json::sax_parse(text.begin(), text.end(), &builder,
                                                  nlohmann::json::input_format_t::json, true, true);
  if (!is_valid) return std::nullopt;
  return builder.take();
}

std::string member_path(const std::string& parent, std::string_view key) {
  if (!is_plain_word(key)) return parent + "[" + nlohmann::json(key).dump() + "]";
  return parent.empty() ? std::string(key) : parent + "." + std::string(key);
}

std::string item_path(const std::string& parent, std::size_t index) {
  return fmt::format("{}[{}]", parent, index);
}

}  // namespace layover::config
