// Manifests, indexes and lists of tags, as a registry sends them: what layover takes out of them is what is
// in them, and a media type can be sent in a header.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "base/ascii.h"
#include "oci/manifest.h"
#include "oci/tag_list.h"
#include "tests/fuzz/fuzz.h"

namespace layover::fuzz {
namespace {

using namespace oci;

bool is_media_type(std::string_view text) {
  const auto slash = text.find('/');
  return slash != std::string_view::npos && is_token(text.substr(0, slash)) &&
         is_token(text.substr(slash + 1));
}

bool are_equal(const ManifestInfo& a, const ManifestInfo& b) {
  return a.media_type == b.media_type && a.subject == b.subject &&
         std::ranges::equal(a.children, b.children, [](const Descriptor& x, const Descriptor& y) {
           return x.media_type == y.media_type && x.digest == y.digest && x.size == y.size &&
                  x.role == y.role;
         });
}

void check_manifest(std::string_view text) {
  const auto manifest = read_manifest(text);
  if (!manifest) {
    require(!has_control_character(manifest.error().message()), "a message is one line");
    return;
  }
  require(is_media_type(manifest->media_type), "a manifest has a media type");
  require(looks_like_manifest(text), "what was read as a manifest looks like one");
  const auto document = nlohmann::json::parse(text, nullptr, false);
  require(document.is_object(), "a manifest is a JSON object");
  for (const Descriptor& child : manifest->children) {
    require(text.contains(child.digest.hex()) || text.contains('\\'), "a child is named by the manifest");
  }
  const bool has_both =
      std::ranges::any_of(manifest->children,
                          [](const Descriptor& child) { return child.role == ChildRole::kManifest; }) &&
      std::ranges::any_of(manifest->children,
                          [](const Descriptor& child) { return child.role != ChildRole::kManifest; });
  require(!has_both, "a manifest has layers or manifests, not both");
  const auto spaced = read_manifest(" \n" + std::string(text) + "\r\n\t ");
  require(spaced && are_equal(*spaced, *manifest), "white space around a manifest changes nothing");
}

void check_content_type(std::string_view upstream, std::string_view text) {
  const std::string type = choose_content_type(upstream, text);
  require(is_media_type(type), "a Content-Type can be sent in a header");
}

void check_tag_list(std::string_view text) {
  if (!is_tag_list(text)) return;
  const auto document = nlohmann::json::parse(text, nullptr, false);
  require(document.is_object() && document.contains("tags"), "a list of tags is an object with tags");
  const auto& tags = document["tags"];
  require(tags.is_null() ||
              (tags.is_array() && std::ranges::all_of(tags, [](const auto& tag) { return tag.is_string(); })),
          "tags are a list of texts");
}

}  // namespace

void fuzz(std::string_view input) {
  check_manifest(input);
  check_tag_list(input);
  check_content_type("", input);
  check_content_type(input, input);
  check_content_type("application/vnd.oci.image.index.v1+json; charset=utf-8", input);
  require(is_tag_list(empty_tag_list("a/b")), "an empty list of tags is one");
}

}  // namespace layover::fuzz
