// The SAX handler behind read_outline. It follows only the root object and the descriptors directly in
// it; everything else is counted for its depth and dropped.
#include "oci/manifest_outline.h"

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <utility>

namespace layover::oci {
namespace {

// Real manifests have 4 levels (index, manifests, descriptor, platform).
constexpr std::size_t kDeepest = 64;

class OutlineReader {
 public:
  ManifestOutline take() { return std::move(outline_); }

  // The interface that nlohmann::json::sax_parse calls. Returning false ends the parse.
  bool null() { return scalar(Kind::kNull); }
  bool boolean(bool) { return scalar(Kind::kOther); }
  bool number_integer(std::int64_t value) { return value < 0 ? scalar(Kind::kOther) : number(0); }
  bool number_unsigned(std::uint64_t value) { return number(value); }
  bool number_float(double, const std::string&) { return scalar(Kind::kOther); }
  bool string(std::string& value) {
    text_ = std::move(value);
    return scalar(Kind::kText);
  }
  bool binary(nlohmann::json::binary_t&) { return false; }
  bool start_object(std::size_t) { return enter(true); }
  bool start_array(std::size_t) { return enter(false); }
  bool end_array() { return leave(); }
  bool end_object();
  bool key(std::string& name);
  bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception&) { return false; }

 private:
  enum class Kind : std::uint8_t { kNull, kText, kNumber, kOther };
  enum class RootKey : std::uint8_t {
    kOther,
    kMediaType,
    kSchemaVersion,
    kConfig,
    kSubject,
    kLayers,
    kManifests
  };

  /// A descriptor while its fields arrive.
  struct Draft {
    std::string media_type;
    std::optional<std::string> digest;
    std::optional<std::uint64_t> size;
  };

  bool is_list() const { return root_key_ == RootKey::kLayers || root_key_ == RootKey::kManifests; }
  bool is_single() const { return root_key_ == RootKey::kConfig || root_key_ == RootKey::kSubject; }

  bool number(std::uint64_t value) {
    number_ = value;
    return scalar(Kind::kNumber);
  }
  bool scalar(Kind kind);
  void root_value(Kind kind);
  void descriptor_field(Kind kind);
  bool enter(bool is_object);
  bool leave() {
    --depth_;
    return true;
  }
  void finish_descriptor();
  void complain(std::string problem) {
    if (outline_.problem.empty()) outline_.problem = std::move(problem);
  }

  ManifestOutline outline_;
  std::size_t depth_ = 0;
  RootKey root_key_ = RootKey::kOther;
  std::string root_name_;             // for messages; set for the keys that are read
  std::size_t descriptor_depth_ = 0;  // of the descriptor being read; 0 outside of one
  std::string field_;
  Draft draft_;
  std::string text_;          // of the scalar just read, if kText
  std::uint64_t number_ = 0;  // of the scalar just read, if kNumber
};

bool OutlineReader::key(std::string& name) {
  if (depth_ == descriptor_depth_) {
    field_ = std::move(name);
    return true;
  }
  if (depth_ != 1) return true;
  root_key_ = RootKey::kOther;
  if (name == "mediaType") root_key_ = RootKey::kMediaType;
  if (name == "schemaVersion") root_key_ = RootKey::kSchemaVersion;
  if (name == "config") root_key_ = RootKey::kConfig;
  if (name == "subject") root_key_ = RootKey::kSubject;
  if (name == "layers") root_key_ = RootKey::kLayers;
  if (name == "manifests") root_key_ = RootKey::kManifests;
  if (name == "fsLayers") outline_.has_fs_layers = true;
  if (name == "signatures") outline_.has_signatures = true;
  if (root_key_ != RootKey::kOther) root_name_ = std::move(name);
  return true;
}

bool OutlineReader::scalar(Kind kind) {
  if (depth_ == 0) return false;
  if (depth_ == 1) {
    root_value(kind);
  } else if (depth_ == descriptor_depth_) {
    descriptor_field(kind);
  } else if (depth_ == 2 && is_list()) {
    complain(fmt::format("an element of {} is no object", root_name_));
  }
  return true;
}

void OutlineReader::root_value(Kind kind) {
  switch (root_key_) {
    case RootKey::kMediaType:
      if (kind == Kind::kText) {
        outline_.media_type = std::move(text_);
        return;
      }
      break;
    case RootKey::kSchemaVersion:
      if (kind == Kind::kNumber) {
        outline_.has_schema_version = true;
        return;
      }
      break;
    case RootKey::kManifests:
      // Go writes a list that was never filled as null.
      outline_.has_manifests = outline_.has_manifests || kind == Kind::kNull;
      break;
    default: break;
  }
  if (root_key_ != RootKey::kOther && kind != Kind::kNull) {
    complain(fmt::format("{} has a value of the wrong type", root_name_));
  }
}

void OutlineReader::descriptor_field(Kind kind) {
  if (field_ == "mediaType" && kind == Kind::kText) draft_.media_type = std::move(text_);
  if (field_ == "digest" && kind == Kind::kText) draft_.digest = std::move(text_);
  if (field_ == "size" && kind == Kind::kNumber) draft_.size = number_;
}

bool OutlineReader::enter(bool is_object) {
  ++depth_;
  if (depth_ > kDeepest) return false;
  if (depth_ == 1) return is_object;
  const bool is_descriptor = (depth_ == 2 && is_single()) || (depth_ == 3 && is_list());
  if (is_descriptor && is_object) {
    descriptor_depth_ = depth_;
    draft_ = {};
    outline_.has_config = outline_.has_config || root_key_ == RootKey::kConfig;
    return true;
  }
  if (depth_ == 2 && is_list() && !is_object) {
    outline_.has_layers = outline_.has_layers || root_key_ == RootKey::kLayers;
    outline_.has_manifests = outline_.has_manifests || root_key_ == RootKey::kManifests;
    return true;
  }
  if (is_descriptor || (depth_ == 2 && root_key_ != RootKey::kOther)) {
    complain(fmt::format("{} has a value of the wrong type", root_name_));
    // What is inside of it must not be taken for descriptors.
    if (depth_ == 2) root_key_ = RootKey::kOther;
  }
  return true;
}

bool OutlineReader::end_object() {
  if (depth_ == descriptor_depth_ && depth_ != 0) {
    finish_descriptor();
    descriptor_depth_ = 0;
  }
  return leave();
}

void OutlineReader::finish_descriptor() {
  if (!draft_.digest || !draft_.size) {
    complain(fmt::format("a descriptor in {} lacks a valid digest or size", root_name_));
    return;
  }
  const auto digest = Digest::parse(*draft_.digest);
  if (!digest) {
    const bool is_ours = draft_.digest->starts_with("sha256:") || draft_.digest->starts_with("sha512:");
    if (is_ours || draft_.digest->find(':') == std::string::npos) {
      complain(fmt::format("a descriptor in {} has a malformed digest", root_name_));
    }
    return;
  }
  if (root_key_ == RootKey::kSubject) {
    outline_.subject = digest;
    return;
  }
  const auto role = root_key_ == RootKey::kConfig   ? ChildRole::kConfig
                    : root_key_ == RootKey::kLayers ? ChildRole::kLayer
                                                    : ChildRole::kManifest;
  outline_.children.push_back({std::move(draft_.media_type), *digest, Bytes{*draft_.size}, role});
}

}  // namespace

std::optional<ManifestOutline> read_outline(std::string_view bytes) {
  // The parser takes a NUL for the end of its input and would leave what follows unread.
  if (bytes.find('\0') != std::string_view::npos) return std::nullopt;
  OutlineReader reader;
  if (!nlohmann::json::sax_parse(bytes.begin(), bytes.end(), &reader)) return std::nullopt;
  return reader.take();
}

}  // namespace layover::oci
