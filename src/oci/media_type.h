// The media types of manifests, and which of them a client accepts. Everything else that has a media
// type (configs, layers) passes through layover unread.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace layover::oci {

/// The values number bits of AcceptVariant, which is stored in the index: never renumber.
enum class ManifestType : std::uint8_t {
  kOciManifest = 0,
  kOciIndex = 1,
  kDockerManifest = 2,
  kDockerManifestList = 3,
  // Schema 1 is recognised, so that it is told apart from rubbish. A signed one's digest covers its
  // payload and not its bytes, so it cannot be verified; it is asked for only where a client names it.
  kDockerSchema1 = 4,
  kDockerSchema1Signed = 5,
};

/// "application/vnd.oci.image.manifest.v1+json" and so on.
std::string_view to_string(ManifestType type);

/// The known manifest type that a Content-Type names, parameters and letter case ignored.
std::optional<ManifestType> manifest_type(std::string_view media_type);

/// `type/subtype` without parameters and surrounding white space; a part of `media_type`.
std::string_view strip_parameters(std::string_view media_type);

/// "text/html", parameters and letter case ignored: what a captive portal has for everything.
bool is_html(std::string_view media_type);

/// An OCI index or a Docker manifest list; parameters and letter case ignored.
bool is_index(std::string_view media_type);
/// Any known manifest type, indexes included.
bool is_manifest(std::string_view media_type);

/// Which of the known manifest types a client accepts. Registries answer a tag differently by it, so a
/// tag's answers are kept apart per variant.
class AcceptVariant {
 public:
  /// From the values of all Accept lines of a request (RFC 9110 12.5.1). A wildcard (`*/*`,
  /// `application/*`) or no value at all restricts nothing; `q=0` excludes; what is malformed is skipped.
  static AcceptVariant from_accept(std::span<const std::string_view> values);
  /// A stored variant. Any value is one.
  static constexpr AcceptVariant from_bits(std::uint8_t bits) { return AcceptVariant(bits); }
  static constexpr AcceptVariant unrestricted() { return AcceptVariant(kUnrestricted); }

  constexpr std::uint8_t bits() const { return bits_; }
  constexpr bool is_unrestricted() const { return (bits_ & kUnrestricted) != 0; }
  constexpr bool accepts(ManifestType type) const {
    return is_unrestricted() || (bits_ & (1U << static_cast<unsigned>(type))) != 0;
  }

  /// The Accept values that put the same question to a registry, to be sent in this order. Unrestricted:
  /// the OCI and Docker types and "*/*". Nothing known accepted: "application/json", which tells a
  /// registry the same. The views are to constants.
  std::vector<std::string_view> accept_values() const;

  friend constexpr auto operator<=>(AcceptVariant, AcceptVariant) = default;

 private:
  static constexpr std::uint8_t kUnrestricted = 0x80;

  constexpr explicit AcceptVariant(std::uint8_t bits) : bits_(bits) {}

  std::uint8_t bits_;
};

}  // namespace layover::oci
