// The configuration file as a tree that knows where in the text each key and value stands. nlohmann/json
// keeps no positions, so the tree is built from its SAX events while a cursor follows them through the
// text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/report.h"

namespace layover::config {

struct Member;

struct Node {
  enum class Kind : std::uint8_t { kNull, kBoolean, kNumber, kText, kList, kObject };

  Kind kind = Kind::kNull;
  Position position;
  bool boolean = false;         // kBoolean
  std::string text;             // kText: its value; kNumber: as written
  std::vector<Node> items;      // kList
  std::vector<Member> members;  // kObject; no key twice
};

struct Member {
  std::string key;
  Position position;
  Node value;
};

/// JSON with // and /* */ comments. A syntax error, or nesting deeper than any configuration, is reported
/// and gives nothing; a key given twice is reported too, its second value left out.
std::optional<Node> read_document(std::string_view text, Report& report);

/// `parent.key`, or `parent["key"]` where the key is no plain word.
std::string member_path(const std::string& parent, std::string_view key);
/// `parent[index]`.
std::string item_path(const std::string& parent, std::size_t index);

}  // namespace layover::config
