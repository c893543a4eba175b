// One signal for all digests: that two want the same one at once is rare.
#include "cache/claims.h"

namespace layover::cache {

Claim::~Claim() {
  if (claims_ != nullptr) claims_->give_back(digest_);
}

std::optional<Claim> Claims::try_claim(const oci::Digest& digest) {
  const std::lock_guard lock(mutex_);
  if (!claimed_.insert(digest).second) return std::nullopt;
  return Claim(*this, digest);
}

net::Task<Claim> Claims::claim(oci::Digest digest) {
  for (;;) {
    const auto seen = given_back_->version();
    if (auto claim = try_claim(digest)) co_return std::move(*claim);
    auto changed = co_await given_back_->changed(seen, Deadline::never());
    (void)changed;  // without a deadline there is nothing to fail
  }
}

void Claims::give_back(const oci::Digest& digest) {
  {
    const std::lock_guard lock(mutex_);
    claimed_.erase(digest);
  }
  given_back_->notify();
}

}  // namespace layover::cache
