// Linear search: messages have some dozen fields.
#include "net/http_headers.h"

#include <algorithm>

#include "base/ascii.h"

namespace layover::net {

void HttpHeaders::add(std::string_view name, std::string_view value) {
  entries_.push_back({.name_begin = static_cast<std::uint32_t>(buffer_.size()),
                      .name_length = static_cast<std::uint32_t>(name.size()),
                      .value_length = static_cast<std::uint32_t>(value.size())});
  buffer_ += name;
  buffer_ += value;
}

void HttpHeaders::clear() {
  buffer_.clear();
  entries_.clear();
}

HttpHeaders::Field HttpHeaders::at(std::size_t index) const {
  const Entry& entry = entries_[index];
  const std::string_view text = buffer_;
  return {.name = text.substr(entry.name_begin, entry.name_length),
          .value = text.substr(entry.name_begin + entry.name_length, entry.value_length)};
}

std::optional<std::string_view> HttpHeaders::get(std::string_view name) const {
  for (std::size_t i = 0; i < size(); ++i) {
    const Field field = at(i);
    if (equals_ignoring_case(field.name, name)) return field.value;
  }
  return std::nullopt;
}

std::size_t HttpHeaders::count(std::string_view name) const {
  std::size_t found = 0;
  for (std::size_t i = 0; i < size(); ++i) found += equals_ignoring_case(at(i).name, name) ? 1 : 0;
  return found;
}

std::vector<std::string_view> HttpHeaders::all(std::string_view name) const {
  std::vector<std::string_view> values;
  for (std::size_t i = 0; i < size(); ++i) {
    const Field field = at(i);
    if (equals_ignoring_case(field.name, name)) values.push_back(field.value);
  }
  return values;
}

bool HttpHeaders::has_token(std::string_view name, std::string_view token) const {
  for (std::string_view list : all(name)) {
    while (!list.empty()) {
      const auto comma = std::min(list.find(','), list.size());
      if (equals_ignoring_case(trim(list.substr(0, comma)), token)) return true;
      list.remove_prefix(std::min(comma + 1, list.size()));
    }
  }
  return false;
}

}  // namespace layover::net
