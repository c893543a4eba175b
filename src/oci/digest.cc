// Digests: the strict grammar and the two forms, raw and hexadecimal.
#include "oci/digest.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/hex.h"

namespace layover::oci {
namespace {

// Lower case only: the image specification forbids upper-case hex in both algorithms.
std::optional<unsigned> hex_value(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a') + 10;
  return std::nullopt;
}

std::optional<Algorithm> algorithm_named(std::string_view name) {
  for (Algorithm algorithm : {Algorithm::kSha256, Algorithm::kSha512}) {
    if (name == algorithm_name(algorithm)) return algorithm;
  }
  return std::nullopt;
}

}  // namespace

std::string_view algorithm_name(Algorithm algorithm) {
  return algorithm == Algorithm::kSha256 ? "sha256" : "sha512";
}

std::optional<Algorithm> algorithm_from_stored(std::uint8_t value) {
  if (value == static_cast<std::uint8_t>(Algorithm::kSha256)) return Algorithm::kSha256;
  if (value == static_cast<std::uint8_t>(Algorithm::kSha512)) return Algorithm::kSha512;
  return std::nullopt;
}

std::optional<Digest> Digest::parse(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto algorithm = algorithm_named(text.substr(0, colon));
  const auto hex = text.substr(colon + 1);
  if (!algorithm || hex.size() != 2 * raw_size(*algorithm)) return std::nullopt;

  Digest digest(*algorithm);
  for (std::size_t i = 0; i < raw_size(*algorithm); ++i) {
    const auto high = hex_value(hex[2 * i]);
    const auto low = hex_value(hex[2 * i + 1]);
    if (!high || !low) return std::nullopt;
    digest.bytes_[i] = static_cast<std::byte>(*high << 4 | *low);
  }
  return digest;
}

Digest Digest::from_raw(Algorithm algorithm, std::span<const std::byte> raw) {
  if (raw.size() != raw_size(algorithm)) {
    std::fputs("bug: a raw digest of the wrong length\n", stderr);
    std::abort();
  }
  Digest digest(algorithm);
  std::ranges::copy(raw, digest.bytes_.begin());
  return digest;
}

std::string Digest::hex() const {
  std::string text;
  append_hex(text, raw());
  return text;
}

std::string Digest::to_string() const {
  std::string text;
  text.reserve(algorithm_name(algorithm_).size() + 1 + 2 * raw().size());
  text += algorithm_name(algorithm_);
  text += ':';
  append_hex(text, raw());
  return text;
}

}  // namespace layover::oci

std::size_t std::hash<layover::oci::Digest>::operator()(const layover::oci::Digest& digest) const noexcept {
  // A digest is uniformly distributed already: its first bytes are a hash.
  std::size_t value = 0;
  std::memcpy(&value, digest.raw().data(), sizeof value);
  return value;
}
