// The algorithms are fetched once: fetching costs more than hashing a small manifest.
#include "cache/hasher.h"

#include <array>
#include <stdexcept>

namespace layover::cache {

namespace {

const EVP_MD* fetched(oci::Algorithm algorithm) {
  static const EVP_MD* const sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  static const EVP_MD* const sha512 = EVP_MD_fetch(nullptr, "SHA512", nullptr);
  return algorithm == oci::Algorithm::kSha256 ? sha256 : sha512;
}

}  // namespace

Hasher::Hasher(oci::Algorithm algorithm) : algorithm_(algorithm), context_(EVP_MD_CTX_new()) {
  if (EVP_DigestInit_ex2(context_.get(), fetched(algorithm), nullptr) != 1) {
    throw std::runtime_error("OpenSSL offers no SHA-2");
  }
}

Hasher::Hasher(const Hasher& other) : algorithm_(other.algorithm_), context_(EVP_MD_CTX_new()) {
  if (EVP_MD_CTX_copy_ex(context_.get(), other.context_.get()) != 1) {
    throw std::runtime_error("OpenSSL cannot copy a hash");
  }
}

void Hasher::update(std::span<const std::byte> bytes) {
  EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size());
}

oci::Digest Hasher::finish() {
  std::array<std::byte, EVP_MAX_MD_SIZE> raw{};
  unsigned length = 0;
  EVP_DigestFinal_ex(context_.get(), reinterpret_cast<unsigned char*>(raw.data()), &length);
  return oci::Digest::from_raw(algorithm_, std::span(raw).first(length));
}

oci::Digest digest_of(oci::Algorithm algorithm, std::span<const std::byte> bytes) {
  Hasher hasher(algorithm);
  hasher.update(bytes);
  return hasher.finish();
}

}  // namespace layover::cache
