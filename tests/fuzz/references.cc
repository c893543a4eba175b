// Digests, tags, repository and registry names, from a request's path or a configuration: what is accepted
// is what the specification's own expressions accept, and is written back as it was.
#include <regex>
#include <string>

#include "oci/digest.h"
#include "oci/reference.h"
#include "oci/registry_name.h"
#include "tests/fuzz/fuzz.h"

namespace layover::fuzz {
namespace {

using namespace oci;

// The distribution specification, "Pulling manifests"; the image specification, "Digests".
bool is_name_by_specification(std::string_view text) {
  static const std::regex name("[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*)*");
  return text.size() <= 255 && std::regex_match(text.begin(), text.end(), name);
}

bool is_tag_by_specification(std::string_view text) {
  static const std::regex tag("[a-zA-Z0-9_][a-zA-Z0-9._-]*");
  return text.size() <= 128 && std::regex_match(text.begin(), text.end(), tag);
}

bool is_digest_by_specification(std::string_view text) {
  static const std::regex hex("[a-f0-9]*");
  const bool is_256 = text.starts_with("sha256:") && text.size() == 7 + 64;
  const bool is_512 = text.starts_with("sha512:") && text.size() == 7 + 128;
  return (is_256 || is_512) && std::regex_match(text.begin() + 7, text.end(), hex);
}

void check_digest(std::string_view text) {
  const auto digest = Digest::parse(text);
  require(digest.has_value() == is_digest_by_specification(text), "a digest is what the specification says");
  if (!digest) return;
  require(digest->to_string() == text, "a digest is written as it was read");
  require(Digest::from_raw(digest->algorithm(), digest->raw()) == *digest, "a digest is its raw bytes");
}

void check_repository(std::string_view text) {
  const auto name = RepositoryName::parse(text);
  require(name.has_value() == is_name_by_specification(text), "a name is what the specification says");
  if (!name) return;
  require(name->str() == text, "a name is written as it was read");
  const auto canonical = canonical_repository(RegistryName::docker_io(), *name);
  require(RepositoryName::parse(canonical.str()) == canonical, "Docker Hub's name is valid");
  require(canonical_repository(RegistryName::docker_io(), canonical) == canonical,
          "Docker Hub's name is its own canonical form");
}

void check_reference(std::string_view text) {
  const auto tag = Tag::parse(text);
  require(tag.has_value() == is_tag_by_specification(text), "a tag is what the specification says");
  const auto reference = Reference::parse(text);
  require(reference.has_value() == (tag.has_value() || Digest::parse(text).has_value()),
          "a reference is a tag or a digest");
  if (!reference) return;
  require((reference->tag() != nullptr) != (reference->digest() != nullptr), "a reference is one of the two");
  require(reference->to_string() == text, "a reference is written as it was read");
}

void check_registry(std::string_view text) {
  if (const auto authority = Authority::parse(text)) {
    require(Authority::parse(authority->to_string()) == authority, "an authority is read as it was written");
    require(authority->covers(authority->host, authority->port.value_or(443)), "an authority covers itself");
    require(!authority->host.empty() && authority->port != 0, "an authority has a host, and no port of 0");
  }
  const auto name = RegistryName::parse(text);
  require(name.has_value() == Authority::parse(text).has_value(), "a registry's name is an authority");
  if (!name) return;
  require(RegistryName::parse(name->str()) == name, "a registry's name is its own canonical form");
  require(name->authority().to_string() == name->str(), "a registry's name is its authority");
  require(name->str().find_first_of("/@?#%\\") == std::string::npos && !has_control_character(name->str()),
          "a registry's name has nothing that means something in a URL");
}

}  // namespace

void fuzz(std::string_view input) {
  check_digest(input);
  check_repository(input);
  check_reference(input);
  check_registry(input);
}

}  // namespace layover::fuzz
