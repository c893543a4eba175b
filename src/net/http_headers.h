// Header fields of an HTTP message, in order, in one buffer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace layover::net {

/// Views given out stay valid until the next add() or clear().
class HttpHeaders {
 public:
  struct Field {
    std::string_view name;
    std::string_view value;
  };

  void add(std::string_view name, std::string_view value);
  void clear();

  std::size_t size() const { return entries_.size(); }
  Field at(std::size_t index) const;
  /// The first field of that name (case does not matter); nothing if there is none.
  std::optional<std::string_view> get(std::string_view name) const;
  std::size_t count(std::string_view name) const;
  /// All values of that name, in order.
  std::vector<std::string_view> all(std::string_view name) const;
  /// True if one of the comma-separated members of the fields `name` is `token` (case does not matter).
  bool has_token(std::string_view name, std::string_view token) const;

 private:
  struct Entry {
    std::uint32_t name_begin;
    std::uint32_t name_length;
    std::uint32_t value_length;
  };
  std::string buffer_;
  std::vector<Entry> entries_;
};

}  // namespace layover::net
