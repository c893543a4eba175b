// Claims: who may change the file and the index entry of one digest right now. A commit, an eviction, a
// quarantine and an adoption each consist of a change to the file and one to the index; with the claim
// held over both, no two of them interleave.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <unordered_set>
#include <utility>

#include "net/signal.h"
#include "net/task.h"
#include "oci/digest.h"

namespace layover::cache {

class Claims;

/// Given back by its end, on any thread. Unlike a lock it may be held across suspensions. Its Claims
/// outlive it.
class Claim {
 public:
  Claim(Claim&& other) noexcept : claims_(std::exchange(other.claims_, nullptr)), digest_(other.digest_) {}
  Claim& operator=(Claim&&) = delete;
  ~Claim();

  const oci::Digest& digest() const { return digest_; }

 private:
  friend class Claims;
  Claim(Claims& claims, const oci::Digest& digest) : claims_(&claims), digest_(digest) {}

  Claims* claims_;
  oci::Digest digest_;
};

/// Thread-safe.
class Claims {
 public:
  /// Nothing where somebody else has it.
  std::optional<Claim> try_claim(const oci::Digest& digest);
  /// Waits until it is free. Loop thread; hold no other claim meanwhile.
  net::Task<Claim> claim(oci::Digest digest);

 private:
  friend class Claim;
  void give_back(const oci::Digest& digest);

  std::mutex mutex_;
  std::unordered_set<oci::Digest> claimed_;
  const std::shared_ptr<net::Signal> given_back_ = std::make_shared<net::Signal>();
};

}  // namespace layover::cache
