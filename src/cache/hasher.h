// A running digest: SHA-256 or SHA-512 through OpenSSL.
#pragma once

#include <openssl/evp.h>

#include <memory>
#include <span>

#include "oci/digest.h"

namespace layover::cache {

/// Movable; used by one thread at a time.
class Hasher {
 public:
  explicit Hasher(oci::Algorithm algorithm);
  /// A copy goes on from the same bytes by itself.
  Hasher(const Hasher& other);
  Hasher(Hasher&&) noexcept = default;
  Hasher& operator=(Hasher&&) noexcept = default;

  void update(std::span<const std::byte> bytes);
  /// The digest of everything so far; ends the hasher.
  oci::Digest finish();

 private:
  struct FreeContext {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  oci::Algorithm algorithm_;
  std::unique_ptr<EVP_MD_CTX, FreeContext> context_;
};

oci::Digest digest_of(oci::Algorithm algorithm, std::span<const std::byte> bytes);

}  // namespace layover::cache
