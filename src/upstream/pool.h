// Keep-alive connections to upstreams, of one loop: taken for one exchange, given back when its answer
// was read to the end.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "metrics/metrics.h"
#include "net/client_connection.h"
#include "net/task.h"
#include "upstream/connection_limit.h"
#include "upstream/endpoint.h"

namespace layover::upstream {

/// One connection with its count in the metrics. Owned by the exchange that uses it, or by the pool.
class Lease {
 public:
  Lease(net::ClientConnection connection, metrics::Gauge open, std::string key);
  Lease(Lease&&) noexcept = default;
  Lease& operator=(Lease&&) noexcept = default;
  ~Lease() = default;

  net::ClientConnection& connection() { return connection_; }
  const std::string& key() const { return key_; }
  /// True where the connection carried an exchange before.
  bool is_reused() const { return is_reused_; }
  /// From one exchange to the next it has no share in the endpoint's limit: idle, it is no load.
  void begin(std::optional<ConnectionLimit::Share> share) { share_ = std::move(share); }
  void end() {
    is_reused_ = true;
    share_.reset();
  }

 private:
  /// Counts down when the last owner lets go.
  struct Count {
    metrics::Gauge gauge;
    explicit Count(metrics::Gauge open) : gauge(open) { gauge.add(); }
    Count(const Count&) = delete;
    Count& operator=(const Count&) = delete;
    ~Count() { gauge.sub(); }
  };

  net::ClientConnection connection_;
  std::unique_ptr<Count> count_;
  std::string key_;
  bool is_reused_ = false;
  std::optional<ConnectionLimit::Share> share_;
};

/// Lives on its loop.
class ConnectionPool {
 public:
  ConnectionPool(net::Loop& loop, metrics::Metrics& metrics) : loop_(loop), metrics_(metrics) {}

  /// A connection to the origin of `url` as `endpoint` may reach it, pooled or new, once the endpoint's limit
  /// allows it. With `fresh`, a new one. `prefetch` as in Query. Errors of the limit, of dialling, kDenied
  /// where the policy forbids the address.
  net::Task<Result<Lease>> take(std::shared_ptr<const Endpoint> endpoint, net::Url url,
                                DestinationPolicy::Purpose purpose, bool fresh,
                                std::shared_ptr<cache::Prefetch> prefetch, Deadline deadline);
  /// Keeps the connection for later if it may be reused.
  void give_back(Lease lease);
  /// Closes what is idle with this key.
  void close_idle_of(const std::string& key) { idle_.erase(key); }
  /// Closes what has been idle for long. Called every now and then.
  void close_idle();

 private:
  bool has_idle() const;

  struct Idle {
    Lease lease;
    Deadline until;
  };

  net::Loop& loop_;
  metrics::Metrics& metrics_;
  std::map<std::string, std::vector<Idle>> idle_;
};

}  // namespace layover::upstream
