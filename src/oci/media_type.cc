// Media types and the Accept header (RFC 9110 8.3, 12.4.2, 12.5.1).
#include "oci/media_type.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>

#include "base/ascii.h"

namespace layover::oci {
namespace {

// Indexed by ManifestType.
constexpr std::array<std::string_view, 6> kNames = {
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
};
constexpr std::size_t kModernTypes = 4;  // without schema 1
constexpr std::uint8_t kAllModern = (1U << kModernTypes) - 1;

// Cuts the text up to the next `separator` outside quotes off the front of `rest`.
std::string_view take_until(std::string_view& rest, char separator) {
  bool is_quoted = false;
  std::size_t at = 0;
  for (; at < rest.size(); ++at) {
    if (is_quoted && rest[at] == '\\') {
      ++at;
    } else if (rest[at] == '"') {
      is_quoted = !is_quoted;
    } else if (rest[at] == separator && !is_quoted) {
      break;
    }
  }
  const auto taken = rest.substr(0, at);
  rest.remove_prefix(std::min(at + 1, rest.size()));
  return taken;
}

// Whether the parameters of a media range hold a weight of zero: "q=0", "q=0.000".
bool is_excluded(std::string_view parameters) {
  while (!parameters.empty()) {
    const auto parameter = trim(take_until(parameters, ';'));
    if (parameter.size() < 3 || to_lower(parameter[0]) != 'q' || parameter[1] != '=') continue;
    return parameter.find_first_not_of("0.", 2) == std::string_view::npos;
  }
  return false;
}

// What the elements seen so far say.
struct Wishes {
  std::uint8_t accepted = 0;
  std::uint8_t excluded = 0;
  bool is_any_accepted = false;
  bool is_empty = true;

  void add(std::string_view element) {
    std::string_view parameters = element;
    const auto range = trim(take_until(parameters, ';'));
    if (range.empty()) return;
    is_empty = false;
    const bool excludes = is_excluded(parameters);
    if (range == "*/*" || equals_ignoring_case(range, "application/*")) {
      is_any_accepted = is_any_accepted || !excludes;
    } else if (const auto type = manifest_type(range)) {
      auto& bits = excludes ? excluded : accepted;
      bits = static_cast<std::uint8_t>(bits | 1U << static_cast<unsigned>(*type));
    }
  }
};

}  // namespace

std::string_view to_string(ManifestType type) { return kNames[static_cast<std::size_t>(type)]; }

std::string_view strip_parameters(std::string_view media_type) {
  return trim(media_type.substr(0, media_type.find(';')));
}

std::optional<ManifestType> manifest_type(std::string_view media_type) {
  const auto name = strip_parameters(media_type);
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (equals_ignoring_case(name, kNames[i])) return static_cast<ManifestType>(i);
  }
  return std::nullopt;
}

bool is_html(std::string_view media_type) {
  return equals_ignoring_case(strip_parameters(media_type), "text/html");
}

bool is_index(std::string_view media_type) {
  const auto type = manifest_type(media_type);
  return type == ManifestType::kOciIndex || type == ManifestType::kDockerManifestList;
}

bool is_manifest(std::string_view media_type) { return manifest_type(media_type).has_value(); }

AcceptVariant AcceptVariant::from_accept(std::span<const std::string_view> values) {
  Wishes wishes;
  for (std::string_view rest : values) {
    while (!rest.empty()) wishes.add(take_until(rest, ','));
  }
  if (wishes.is_empty) return unrestricted();
  // A type that is named wins over a wildcard.
  if (wishes.is_any_accepted && wishes.excluded == 0) return unrestricted();
  const unsigned accepted = wishes.is_any_accepted ? kAllModern | wishes.accepted : wishes.accepted;
  return AcceptVariant(static_cast<std::uint8_t>(accepted & ~wishes.excluded));
}

std::vector<std::string_view> AcceptVariant::accept_values() const {
  std::vector<std::string_view> values;
  if (is_unrestricted()) {
    values.assign(kNames.begin(), kNames.begin() + kModernTypes);
    values.emplace_back("*/*");
    return values;
  }
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (accepts(static_cast<ManifestType>(i))) values.push_back(kNames[i]);
  }
  if (values.empty()) values.emplace_back("application/json");
  return values;
}

}  // namespace layover::oci
