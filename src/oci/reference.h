// What a request names inside a registry: a repository, and in it a tag or a digest, by the grammar of
// the distribution specification ("Pulling manifests"). A value that exists is valid.
#pragma once

#include <compare>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "oci/digest.h"

namespace layover::oci {

/// Components of lower-case letters and digits, joined inside by '.', '_', '__' or dashes and between
/// them by '/'; at most 255 characters in all.
class RepositoryName {
 public:
  static std::optional<RepositoryName> parse(std::string_view text);

  const std::string& str() const { return text_; }

  friend auto operator<=>(const RepositoryName&, const RepositoryName&) = default;

 private:
  explicit RepositoryName(std::string text) : text_(std::move(text)) {}

  std::string text_;
};

/// 1 to 128 of letters, digits, '_', '.' and '-', not starting with '.' or '-'.
class Tag {
 public:
  static std::optional<Tag> parse(std::string_view text);

  const std::string& str() const { return text_; }

  friend auto operator<=>(const Tag&, const Tag&) = default;

 private:
  explicit Tag(std::string text) : text_(std::move(text)) {}

  std::string text_;
};

/// A tag or a digest.
class Reference {
 public:
  /// Text with a ':' is a digest or nothing; other text is a tag or nothing.
  static std::optional<Reference> parse(std::string_view text);

  explicit Reference(Tag tag) : value_(std::move(tag)) {}
  explicit Reference(Digest digest) : value_(digest) {}

  /// Null unless it is one; valid as long as this reference.
  const Tag* tag() const { return std::get_if<Tag>(&value_); }
  const Digest* digest() const { return std::get_if<Digest>(&value_); }
  std::string to_string() const;

  friend auto operator<=>(const Reference&, const Reference&) = default;

 private:
  std::variant<Tag, Digest> value_;
};

}  // namespace layover::oci

template <>
struct std::hash<layover::oci::RepositoryName> {
  std::size_t operator()(const layover::oci::RepositoryName& name) const noexcept {
    return std::hash<std::string>{}(name.str());
  }
};

template <>
struct std::hash<layover::oci::Tag> {
  std::size_t operator()(const layover::oci::Tag& tag) const noexcept {
    return std::hash<std::string>{}(tag.str());
  }
};
