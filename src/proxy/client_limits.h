// How many connections clients may have, in all and each. Who is over a limit is told so, by an answer to its
// first request, as long as not too many are being told.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <optional>
#include <utility>

#include "net/ip_address.h"
#include "net/keyed_table.h"

namespace layover::proxy {

/// Outlives its shares. Thread-safe.
class ClientLimits {
 public:
  struct Bounds {
    std::size_t total;
    std::size_t per_client;  // 0: as many as `total`
  };

  enum class Verdict {
    kServe,
    kTooMany,          // answer 503
    kTooManyOfClient,  // the same
    kDrop,             // as many are being answered 503 as may be: close it
  };

  /// What one connection takes, given back when it is destroyed, on whatever thread.
  class Share {
   public:
    /// Of a connection that is not counted.
    Share() = default;
    Share(Share&& other) noexcept;
    Share& operator=(Share&& other) noexcept;
    ~Share();

    Verdict verdict() const { return verdict_; }

   private:
    friend class ClientLimits;
    Share(ClientLimits& limits, Verdict verdict, net::IpAddress client)
        : limits_(&limits), verdict_(verdict), client_(client) {}

    ClientLimits* limits_ = nullptr;
    Verdict verdict_ = Verdict::kServe;
    net::IpAddress client_ = net::IpAddress(net::IpAddress::V4{});
  };

  explicit ClientLimits(Bounds bounds) { set(bounds); }
  /// For connections that come from now on.
  void set(Bounds bounds);

  /// What becomes of a new connection. Clients are told apart by IPv4 address and IPv6 /64, which is what one
  /// of them can take addresses from at will; nothing stands for all that have no address.
  Share admit(const std::optional<net::IpAddress>& client);

  std::size_t connections() const { return served_.load(std::memory_order_relaxed); }

 private:
  struct Hash {
    std::size_t operator()(const net::IpAddress& address) const;
  };

  bool take_for(const net::IpAddress& client);
  void give_back(const Share& share);
  Share refuse(Verdict verdict, const net::IpAddress& client);

  std::atomic<std::size_t> total_{0};
  std::atomic<std::size_t> per_client_{0};
  std::atomic<std::size_t> served_{0};
  std::atomic<std::size_t> refused_{0};
  net::KeyedTable<net::IpAddress, std::size_t, Hash> clients_;  // never 0; changed under its lock
};

}  // namespace layover::proxy
