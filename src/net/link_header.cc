// A field has any number of links, whose parameters may have commas and semicolons in quotes.
#include "net/link_header.h"

#include <algorithm>
#include <cstddef>

#include "base/ascii.h"

namespace layover::net {

namespace {

/// Cuts off what comes before the first `end` outside of quotes, and that.
std::string_view take_until(std::string_view& text, char end) {
  bool is_quoted = false;
  std::size_t at = 0;
  for (; at < text.size() && (is_quoted || text[at] != end); ++at) {
    if (text[at] == '"') is_quoted = !is_quoted;
    if (is_quoted && text[at] == '\\') ++at;
  }
  at = std::min(at, text.size());
  const std::string_view taken = text.substr(0, at);
  text.remove_prefix(std::min(at + 1, text.size()));
  return taken;
}

std::string_view unquoted(std::string_view value) {
  if (value.size() < 2 || !value.starts_with('"') || !value.ends_with('"')) return value;
  return value.substr(1, value.size() - 2);
}

/// By the first "rel", which is the one that counts; it may list several types.
bool has_relation(std::string_view parameters, std::string_view relation) {
  while (!parameters.empty()) {
    std::string_view value = take_until(parameters, ';');
    const std::string_view name = trim(take_until(value, '='));
    if (!equals_ignoring_case(name, "rel")) continue;
    std::string_view types = unquoted(trim(value));
    while (!types.empty()) {
      if (equals_ignoring_case(take_until(types, ' '), relation)) return true;
    }
    return false;
  }
  return false;
}

}  // namespace

std::optional<std::string_view> find_link(std::string_view field, std::string_view relation) {
  for (;;) {
    field = trim(field);
    if (!field.starts_with('<')) return std::nullopt;
    const auto end = field.find('>');
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view target = field.substr(1, end - 1);
    field.remove_prefix(end + 1);
    if (has_relation(take_until(field, ','), relation)) return target;
  }
}

}  // namespace layover::net
