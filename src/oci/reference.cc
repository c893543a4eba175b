// The grammar of repository names and references.
#include "oci/reference.h"

#include <cstddef>

#include "base/ascii.h"

namespace layover::oci {
namespace {

constexpr std::size_t kLongestName = 255;
constexpr std::size_t kLongestTag = 128;

bool is_lower_alphanumeric(char c) { return is_lower_letter(c) || is_digit(c); }

// What may stand between two runs of letters and digits: (\.|_|__|-+)
bool is_separator(std::string_view text) {
  if (text == "." || text == "_" || text == "__") return true;
  return !text.empty() && text.find_first_not_of('-') == std::string_view::npos;
}

// [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*
bool is_name_component(std::string_view text) {
  if (text.empty() || !is_lower_alphanumeric(text.front()) || !is_lower_alphanumeric(text.back())) {
    return false;
  }
  std::size_t at = 0;
  while (at < text.size()) {
    while (at < text.size() && is_lower_alphanumeric(text[at])) ++at;
    const auto separator = at;
    while (at < text.size() && !is_lower_alphanumeric(text[at])) ++at;
    if (separator < at && !is_separator(text.substr(separator, at - separator))) return false;
  }
  return true;
}

bool is_tag(std::string_view text) {
  if (text.empty() || text.size() > kLongestTag) return false;
  if (!is_alphanumeric(text.front()) && text.front() != '_') return false;
  for (char c : text) {
    if (!is_alphanumeric(c) && c != '_' && c != '.' && c != '-') return false;
  }
  return true;
}

}  // namespace

std::optional<RepositoryName> RepositoryName::parse(std::string_view text) {
  if (text.size() > kLongestName) return std::nullopt;
  std::string_view rest = text;
  for (;;) {
    const auto slash = rest.find('/');
    if (!is_name_component(rest.substr(0, slash))) return std::nullopt;
    if (slash == std::string_view::npos) return RepositoryName(std::string(text));
    rest.remove_prefix(slash + 1);
  }
}

std::optional<Tag> Tag::parse(std::string_view text) {
  if (!is_tag(text)) return std::nullopt;
  return Tag(std::string(text));
}

std::optional<Reference> Reference::parse(std::string_view text) {
  if (text.find(':') != std::string_view::npos) {
    const auto digest = Digest::parse(text);
    if (!digest) return std::nullopt;
    return Reference(*digest);
  }
  auto tag = Tag::parse(text);
  if (!tag) return std::nullopt;
  return Reference(std::move(*tag));
}

std::string Reference::to_string() const {
  const Tag* as_tag = tag();
  return as_tag != nullptr ? as_tag->str() : digest()->to_string();
}

}  // namespace layover::oci
