// Reading one object of the file key by key: each key is read once by whoever knows it, and what nobody
// asked for in the end is unknown. Nothing can be accepted and ignored.
#pragma once

#include <chrono>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/log.h"
#include "config/document.h"
#include "config/network.h"
#include "config/report.h"
#include "config/space.h"

namespace layover::config {

/// A value with its path, for as long as the document lives.
struct Value {
  const Node& node;
  std::string path;
  Report& report;

  /// Reports a problem at this value.
  void fail(std::string message) const { report.add(node.position, path, std::move(message)); }
  /// Reports "expected <what>, not <what is there>". The value itself is shown only where the expected
  /// type makes sure that it is no secret.
  void expected(std::string_view what) const;
  /// The text of a string; null, and reported, for a value of another kind or one that holds a NUL.
  const std::string* text(std::string_view expected_what) const;
};

enum class Zero : std::uint8_t { kAllowed, kRefused };

// Each reads a value into `out`, or reports what was expected and leaves `out` alone.
void read_value(const Value& value, bool& out);
void read_value(const Value& value, Bytes& out, Bytes least, Bytes most);
void read_value(const Value& value, unsigned& out, unsigned least, unsigned most);
void read_value(const Value& value, std::chrono::milliseconds& out, Zero zero);
void read_value(const Value& value, Space& out, Zero zero);
void read_value(const Value& value, Endpoint& out);
void read_value(const Value& value, LogLevel& out);
void read_value(const Value& value, LogFormat& out);

class Section {
 public:
  /// A value that is no object is reported, and read as an empty one.
  explicit Section(const Value& value);

  /// The value of a key if it is there. Marks the key as known.
  std::optional<Value> find(std::string_view key);

  /// read_value() for a key; leaves `out` alone where the key is absent.
  template <typename T, typename... Limits>
  void read(std::string_view key, T& out, Limits... limits) {
    if (const auto value = find(key)) read_value(*value, out, limits...);
  }

  /// Keys of the contract whose behaviour is not built: reported where they are given.
  void not_supported(std::initializer_list<std::string_view> keys);

  /// Reports the keys that nobody asked for. Call when all known ones have been.
  void finish();

 private:
  const Node& node_;
  std::string path_;
  Report& report_;
  std::vector<std::string_view> known_;
};

/// `"a"` or `one of "a", "b" or "c"`.
std::string one_of(const std::vector<std::string_view>& words);

}  // namespace layover::config
