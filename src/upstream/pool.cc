// The pool's key holds the endpoint's identity: two endpoints at one host, or one before and after a
// reload, may trust and allow different things.
#include "upstream/pool.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "net/dial.h"

namespace layover::upstream {

namespace {

/// Shorter than what registries and their load balancers keep (60 s and more).
constexpr std::chrono::seconds kIdleTime{50};
constexpr std::size_t kMaxIdlePerOrigin = 32;

std::string key_of(const Endpoint& endpoint, const net::Url& url) {
  return fmt::format("{} {}://{}:{}", endpoint.identity(), net::to_string(url.scheme), url.host, url.port);
}

/// Who has waited in vain for its turn is told so shortly before its own time is over.
Deadline shortly_before(Deadline deadline) {
  const auto now = Deadline::Clock::now();
  return Deadline::at(deadline.instant() - std::max(deadline.instant() - now, {}) / 10);
}

/// What no client has asked for takes what nobody needs; the others wait for their turn.
net::Task<Result<ConnectionLimit::Share>> take_share(ConnectionLimit& limit,
                                                     std::shared_ptr<cache::Prefetch> prefetch,
                                                     Deadline deadline) {
  if (prefetch && !prefetch->is_asked()) co_return limit.take_spare(std::move(prefetch));
  co_return co_await limit.take(shortly_before(deadline));
}

}  // namespace

Lease::Lease(net::ClientConnection connection, metrics::Gauge open, std::string key)
    : connection_(std::move(connection)), count_(std::make_unique<Count>(open)), key_(std::move(key)) {}

net::Task<Result<Lease>> ConnectionPool::take(std::shared_ptr<const Endpoint> endpoint, net::Url url,
                                              DestinationPolicy::Purpose purpose, bool fresh,
                                              std::shared_ptr<cache::Prefetch> prefetch, Deadline deadline) {
  std::optional<ConnectionLimit::Share> share;
  if (const auto& limit = endpoint->connection_limit()) {
    auto taken = co_await take_share(*limit, std::move(prefetch), deadline);
    if (!taken) co_return std::unexpected(taken.error());
    share.emplace(std::move(*taken));
  }
  std::string key = key_of(*endpoint, url);
  const auto idle = idle_.find(key);
  while (idle != idle_.end() && !idle->second.empty() && !fresh) {
    Idle entry = std::move(idle->second.back());
    idle->second.pop_back();
    if (entry.until.has_passed() || !entry.lease.connection().is_reusable()) continue;
    entry.lease.begin(std::move(share));
    co_return std::move(entry.lease);
  }
  net::DialTarget target{.host = url.host,
                         .port = url.port,
                         .tls = url.scheme == net::Scheme::kHttps ? endpoint->tls() : nullptr,
                         .permit = [endpoint, purpose](const net::SocketAddress& address) -> Result<void> {
                           const auto ip = net::IpAddress::from_sockaddr(*address.get());
                           if (!ip) {
                             return failure(ErrorCode::kDenied, ErrorSource::kUpstream,
                                            "neither IPv4 nor IPv6");
                           }
                           return endpoint->policy().may_connect(*ip, endpoint->own_class(), purpose);
                         }};
  auto connection = co_await net::dial(loop_, target, endpoint->times().connect_timeout, deadline);
  if (!connection && connection.error().code() == ErrorCode::kOverloaded && has_idle()) {
    // Out of descriptors: what others keep for later is of more use now.
    idle_.clear();
    connection = co_await net::dial(loop_, std::move(target), endpoint->times().connect_timeout, deadline);
  }
  if (!connection) {
    co_return std::unexpected(
        connection.error().within(fmt::format("{} cannot be reached", url.authority())));
  }
  if (purpose == DestinationPolicy::Purpose::kRegistry) {
    const net::SocketAddress reached = net::peer_address(connection->fd());
    if (const auto ip = net::IpAddress::from_sockaddr(*reached.get()))
      endpoint->note_own_class(net::classify(*ip));
  }
  Lease lease(net::ClientConnection(std::move(*connection)), metrics_.connections(metrics::Side::kUpstream),
              std::move(key));
  lease.begin(std::move(share));
  co_return lease;
}

bool ConnectionPool::has_idle() const {
  return std::ranges::any_of(idle_, [](const auto& entry) { return !entry.second.empty(); });
}

void ConnectionPool::give_back(Lease lease) {
  if (!lease.connection().is_reusable()) return;
  auto& idle = idle_[lease.key()];
  if (idle.size() >= kMaxIdlePerOrigin) return;
  lease.end();
  idle.push_back({.lease = std::move(lease), .until = Deadline::after(kIdleTime)});
}

void ConnectionPool::close_idle() {
  for (auto& [key, idle] : idle_) {
    std::erase_if(idle, [](Idle& entry) {
      return entry.until.has_passed() || !entry.lease.connection().is_reusable();
    });
  }
  std::erase_if(idle_, [](const auto& entry) { return entry.second.empty(); });
}

}  // namespace layover::upstream
