// The readers of plain values, and the check for unknown keys.
#include "config/section.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/ascii.h"
#include "config/nearest.h"
#include "config/units.h"
#include "config/words.h"

namespace layover::config {
namespace {

std::string describe(const Node& node) {
  switch (node.kind) {
    case Node::Kind::kNull: return "null";
    case Node::Kind::kBoolean: return node.boolean ? "true" : "false";
    case Node::Kind::kNumber: return fmt::format("the bare number {}", node.text);
    case Node::Kind::kText: return "a string";
    case Node::Kind::kList: return "a list";
    case Node::Kind::kObject: return "an object";
  }
  return "that";
}

// A text that was to be one of the types whose values are no secrets.
std::string not_one(std::string_view expected, std::string_view text) {
  static constexpr std::size_t kLongest = 60;
  return fmt::format("expected {}, not \"{}\"{}", expected, text.substr(0, kLongest),
                     text.size() > kLongest ? "..." : "");
}

}  // namespace

void Value::expected(std::string_view what) const {
  fail(fmt::format("expected {}, not {}", what, describe(node)));
}

const std::string* Value::text(std::string_view expected_what) const {
  if (node.kind != Node::Kind::kText) {
    expected(expected_what);
    return nullptr;
  }
  if (node.text.find('\0') != std::string::npos) {
    fail(fmt::format("expected {}, not a string with a NUL character", expected_what));
    return nullptr;
  }
  return &node.text;
}

void read_value(const Value& value, bool& out) {
  if (value.node.kind != Node::Kind::kBoolean) return value.expected("true or false");
  out = value.node.boolean;
}

void read_value(const Value& value, Bytes& out, Bytes least, Bytes most) {
  static constexpr std::string_view kExpected = R"(a size with its unit, such as "32KiB", "5GiB" or "100GB")";
  const std::string* text = value.text(kExpected);
  if (text == nullptr) return;
  const auto size = parse_size(*text);
  if (!size) return value.fail(not_one(kExpected, *text));
  if (*size < least || *size > most) {
    return value.fail(not_one(fmt::format("a size from {} to {} bytes", least.count, most.count), *text));
  }
  out = *size;
}

void read_value(const Value& value, unsigned& out, unsigned least, unsigned most) {
  const auto number = parse_decimal<unsigned>(value.node.text);
  if (value.node.kind != Node::Kind::kNumber || !number || *number < least || *number > most) {
    return value.fail(fmt::format("expected a whole number from {} to {}", least, most));
  }
  out = *number;
}

void read_value(const Value& value, std::chrono::milliseconds& out, Zero zero) {
  static constexpr std::string_view kExpected =
      R"(a duration with its unit, such as "30s", "1h30m" or "250ms")";
  const std::string* text = value.text(kExpected);
  if (text == nullptr) return;
  const auto duration = parse_duration(*text);
  if (!duration) return value.fail(not_one(fmt::format("{}, of at most 100 years", kExpected), *text));
  if (duration->count() == 0 && zero == Zero::kRefused) {
    return value.fail(not_one("a duration longer than nothing", *text));
  }
  out = *duration;
}

void read_value(const Value& value, Space& out, Zero zero) {
  const std::string* text = value.text(kExpectedSpace);
  if (text == nullptr) return;
  const auto space = parse_space(*text);
  if (!space) return value.fail(not_one(kExpectedSpace, *text));
  if (space->is_zero() && zero == Zero::kRefused) {
    return value.fail(not_one("more than nothing", *text));
  }
  out = *space;
}

void read_value(const Value& value, Endpoint& out) {
  static constexpr std::string_view kExpected =
      R"(an IP address and a port, such as "0.0.0.0:5000" or "[::]:5000")";
  const std::string* text = value.text(kExpected);
  if (text == nullptr) return;
  const auto endpoint = parse_endpoint(*text);
  if (!endpoint) return value.fail(not_one(kExpected, *text));
  out = *endpoint;
}

void read_value(const Value& value, LogLevel& out) {
  const std::string expected = one_of(log_level_names());
  const std::string* text = value.text(expected);
  if (text == nullptr) return;
  const auto level = parse_log_level(*text);
  if (!level) return value.fail(not_one(expected, *text));
  out = *level;
}

void read_value(const Value& value, LogFormat& out) {
  const std::string expected = one_of(log_format_names());
  const std::string* text = value.text(expected);
  if (text == nullptr) return;
  const auto format = parse_log_format(*text);
  if (!format) return value.fail(not_one(expected, *text));
  out = *format;
}

Section::Section(const Value& value) : node_(value.node), path_(value.path), report_(value.report) {
  if (node_.kind != Node::Kind::kObject) value.expected("an object");
}

std::optional<Value> Section::find(std::string_view key) {
  known_.push_back(key);
  const auto member = std::ranges::find(node_.members, key, &Member::key);
  if (member == node_.members.end()) return std::nullopt;
  return Value{member->value, member_path(path_, key), report_};
}

void Section::not_supported(std::initializer_list<std::string_view> keys) {
  for (std::string_view key : keys) {
    known_.push_back(key);
    const auto member = std::ranges::find(node_.members, key, &Member::key);
    if (member != node_.members.end()) {
      report_.add(member->position, member_path(path_, key), "not supported yet");
    }
  }
}

void Section::finish() {
  for (const Member& member : node_.members) {
    if (std::ranges::find(known_, member.key) != known_.end()) continue;
    const auto near = nearest(member.key, known_);
    const auto hint = near ? fmt::format("did you mean \"{}\"?", *near) : "expected " + one_of(known_);
    report_.add(member.position, member_path(path_, member.key), "unknown key; " + hint);
  }
}

std::string one_of(const std::vector<std::string_view>& words) {
  std::string text = words.size() > 1 ? "one of " : "";
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) text += i + 1 == words.size() ? " or " : ", ";
    text += fmt::format("\"{}\"", words[i]);
  }
  return text;
}

}  // namespace layover::config
