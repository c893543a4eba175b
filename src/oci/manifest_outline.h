// One pass over a manifest's JSON that keeps what layover needs of it and nothing else, so that memory
// stays a small multiple of the input whatever it holds. Used by manifest.cc only.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "oci/manifest.h"

namespace layover::oci {

struct ManifestOutline {
  std::string media_type;  // as the manifest says; not vetted
  bool has_schema_version = false;
  bool has_config = false;
  bool has_layers = false;
  bool has_manifests = false;
  bool has_fs_layers = false;   // schema 1
  bool has_signatures = false;  // schema 1, signed
  std::vector<Descriptor> children;
  std::optional<Digest> subject;
  /// The first thing that is wrong with a field that is read; empty if nothing is. The flags and the media
  /// type are right all the same.
  std::string problem;
};

/// Nothing where the bytes are not one JSON object, or are nested deeper than any manifest.
std::optional<ManifestOutline> read_outline(std::string_view bytes);

}  // namespace layover::oci
