// The name of content: a digest as the image specification defines it, in the two registered
// algorithms. A Digest that exists is valid; text is parsed once, at the edge.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace layover::oci {

/// The values are stored in the index: never renumber.
enum class Algorithm : std::uint8_t { kSha256 = 1, kSha512 = 2 };

/// "sha256" or "sha512".
std::string_view algorithm_name(Algorithm algorithm);
/// The algorithm of a stored value; nothing for a value that names none.
std::optional<Algorithm> algorithm_from_stored(std::uint8_t value);
/// The length of a digest in raw bytes.
constexpr std::size_t raw_size(Algorithm algorithm) { return algorithm == Algorithm::kSha256 ? 32 : 64; }

/// Cheap to copy; no allocation.
class Digest {
 public:
  /// "sha256:<64 hex>" or "sha512:<128 hex>", the hex in lower case; nothing for any other text.
  static std::optional<Digest> parse(std::string_view text);
  /// `raw` must have raw_size(algorithm) bytes; anything else is a bug and ends the process.
  static Digest from_raw(Algorithm algorithm, std::span<const std::byte> raw);

  Algorithm algorithm() const { return algorithm_; }
  /// Valid as long as this digest.
  std::span<const std::byte> raw() const { return std::span(bytes_).first(raw_size(algorithm_)); }
  /// Lower-case hexadecimal, without the algorithm.
  std::string hex() const;
  /// "sha256:<hex>", as the specifications write it.
  std::string to_string() const;

  friend auto operator<=>(const Digest&, const Digest&) = default;

 private:
  explicit Digest(Algorithm algorithm) : algorithm_(algorithm) {}

  Algorithm algorithm_;
  std::array<std::byte, 64> bytes_{};  // zero past raw_size()
};

}  // namespace layover::oci

template <>
struct std::hash<layover::oci::Digest> {
  std::size_t operator()(const layover::oci::Digest& digest) const noexcept;
};
