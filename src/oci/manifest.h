// Reading manifests and indexes. The bytes themselves are passed on untouched; this says what they are
// and what they point to. Input is whatever a registry sent: nothing in it may cost more than a small
// multiple of its size, and nothing may crash.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "oci/digest.h"

namespace layover::oci {

enum class ChildRole : std::uint8_t { kConfig, kLayer, kManifest };

/// A child of a manifest.
struct Descriptor {
  std::string media_type;  // empty where the manifest gives none
  Digest digest;
  Bytes size;
  ChildRole role;
};

struct ManifestInfo {
  /// The manifest's own `mediaType`, else the OCI type that its structure tells.
  std::string media_type;
  /// In the order of the document. Children whose digest is in an algorithm other than sha256 and
  /// sha512 are left out.
  std::vector<Descriptor> children;
  std::optional<Digest> subject;
};

/// kInvalid (source kUpstream) for what is no manifest or index: no JSON object, nested too deep, no
/// structure to tell the type by, both layers and manifests, or a malformed descriptor. Unknown fields are
/// fine.
Result<ManifestInfo> read_manifest(std::string_view bytes);

/// The Content-Type to give to a client, without parameters: upstream's where it says something, else
/// (absent, malformed, `text/...`, `application/octet-stream`, `application/json`) the manifest's own, else
/// "application/octet-stream".
std::string choose_content_type(std::string_view upstream_content_type, std::string_view bytes);

/// Whether the bytes can be a manifest at all: a JSON object that has `schemaVersion`, a `mediaType` of its
/// own, or the structure of a manifest or an index. Descriptors are not judged. False for a captive portal's
/// page, an error document, `{}`.
bool looks_like_manifest(std::string_view bytes);

}  // namespace layover::oci
