// What a manifest is, judged from its outline.
#include "oci/manifest.h"

#include <fmt/format.h>

#include <utility>

#include "base/ascii.h"
#include "oci/manifest_outline.h"
#include "oci/media_type.h"

namespace layover::oci {
namespace {

constexpr std::string_view kUnknownType = "application/octet-stream";

// RFC 6838 4.2: each part of a media type has at most 127 characters.
constexpr std::size_t kLongestPart = 127;

bool is_part(std::string_view text) { return text.size() <= kLongestPart && is_token(text); }

// Also keeps line breaks out of the header that the type will be sent in.
bool is_well_formed_type(std::string_view media_type) {
  const auto slash = media_type.find('/');
  return slash != std::string_view::npos && is_part(media_type.substr(0, slash)) &&
         is_part(media_type.substr(slash + 1));
}

// Types that servers send when they do not know or care what it is.
bool is_generic(std::string_view media_type) {
  const std::string lower = to_lower(media_type);
  return lower == kUnknownType || lower == "application/json" || lower == "binary/octet-stream" ||
         lower.starts_with("text/");
}

// Empty where neither the manifest says what it is nor its structure does.
std::string_view own_type(const ManifestOutline& outline) {
  if (is_well_formed_type(outline.media_type)) return outline.media_type;
  if (outline.has_manifests && outline.has_layers) return {};
  if (outline.has_manifests) return to_string(ManifestType::kOciIndex);
  if (outline.has_layers || outline.has_config) return to_string(ManifestType::kOciManifest);
  if (!outline.has_fs_layers) return {};
  return to_string(outline.has_signatures ? ManifestType::kDockerSchema1Signed
                                          : ManifestType::kDockerSchema1);
}

std::unexpected<Error> invalid(std::string_view reason) {
  return failure(ErrorCode::kInvalid, ErrorSource::kUpstream, fmt::format("not a manifest: {}", reason));
}

}  // namespace

Result<ManifestInfo> read_manifest(std::string_view bytes) {
  auto outline = read_outline(bytes);
  if (!outline) return invalid("it is not one JSON object, or is nested too deep");
  if (!outline->problem.empty()) return invalid(outline->problem);
  // Two readers could take such a document for two different things (CVE-2021-41190).
  if (outline->has_manifests && (outline->has_layers || outline->has_config)) {
    return invalid("it has both manifests and layers");
  }
  const auto type = own_type(*outline);
  if (type.empty()) return invalid("nothing tells its media type");
  return ManifestInfo{std::string(type), std::move(outline->children), outline->subject};
}

std::string choose_content_type(std::string_view upstream_content_type, std::string_view bytes) {
  const auto upstream_type = strip_parameters(upstream_content_type);
  if (is_well_formed_type(upstream_type) && !is_generic(upstream_type)) return std::string(upstream_type);
  const auto outline = read_outline(bytes);
  const auto type = outline ? own_type(*outline) : std::string_view();
  return std::string(type.empty() ? kUnknownType : type);
}

bool looks_like_manifest(std::string_view bytes) {
  const auto outline = read_outline(bytes);
  return outline && (outline->has_schema_version || !own_type(*outline).empty());
}

}  // namespace layover::oci
