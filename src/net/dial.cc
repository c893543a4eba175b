// Dialling. The policy is asked about the very address that is connected to, so a name that changes
// its mind between look-ups gains nothing.
#include "net/dial.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "net/resolver.h"
#include "net/signal.h"
#include "net/task_group.h"

namespace layover::net {

namespace {

/// RFC 8305 5, "Connection Attempt Delay".
constexpr std::chrono::milliseconds kAttemptDelay{250};

Task<Result<Connection>> connect_one(Loop& loop, const DialTarget& target, SocketAddress address,
                                     Deadline deadline) {
  auto socket = co_await Socket::connect(loop, address, deadline);
  if (!socket) co_return std::unexpected(socket.error());
  Connection connection(std::move(*socket), ErrorSource::kUpstream);
  if (target.tls) {
    auto secured = co_await connection.start_tls(*target.tls, target.host, deadline);
    if (!secured) co_return std::unexpected(secured.error());
  }
  co_return std::move(connection);
}

/// What the attempts of one dial have come to; each adds its end.
struct Attempts {
  std::shared_ptr<Signal> progress = std::make_shared<Signal>();
  std::size_t running = 0;
  std::optional<Connection> first;
  std::optional<Error> last_failure;
};

Task<void> attempt(Loop& loop, const DialTarget& target, SocketAddress address, Deadline deadline,
                   Attempts& attempts) {
  auto connection = co_await connect_one(loop, target, address, deadline);
  --attempts.running;
  if (!connection) {
    attempts.last_failure = connection.error();
  } else if (!attempts.first) {
    attempts.first = std::move(*connection);
  }
  attempts.progress->notify();
}

/// Until an attempt has succeeded, all have failed, or it is time for the next one.
Task<void> wait_for_end(const Attempts& attempts, Deadline next) {
  for (;;) {
    const auto seen = attempts.progress->version();
    if (attempts.first || attempts.running == 0) co_return;
    auto changed = co_await attempts.progress->changed(seen, next);
    if (!changed) co_return;
  }
}

}  // namespace

std::vector<SocketAddress> interleave_families(const std::vector<SocketAddress>& addresses) {
  std::vector<SocketAddress> preferred;
  std::vector<SocketAddress> others;
  for (const SocketAddress& address : addresses) {
    const bool is_preferred = address.storage.ss_family == addresses.front().storage.ss_family;
    (is_preferred ? preferred : others).push_back(address);
  }
  std::vector<SocketAddress> mixed;
  mixed.reserve(addresses.size());
  for (std::size_t i = 0; mixed.size() < addresses.size(); ++i) {
    if (i < preferred.size()) mixed.push_back(preferred[i]);
    if (i < others.size()) mixed.push_back(others[i]);
  }
  return mixed;
}

Task<Result<Connection>> dial_any(Loop& loop, DialTarget target, std::vector<SocketAddress> addresses,
                                  std::chrono::milliseconds connect_timeout, Deadline deadline) {
  Attempts attempts;
  TaskGroup running(loop);  // its end cancels those that lost
  for (std::size_t i = 0; i < addresses.size() && !deadline.has_passed(); ++i) {
    const SocketAddress& address = addresses[i];
    const auto permitted = target.permit ? target.permit(address) : Result<void>{};
    if (permitted) {
      ++attempts.running;
      running.spawn(
          attempt(loop, target, address, earlier(Deadline::after(connect_timeout), deadline), attempts));
    } else {
      attempts.last_failure = permitted.error();
    }
    co_await wait_for_end(attempts, Deadline::after(kAttemptDelay));
    if (attempts.first) co_return std::move(*attempts.first);
  }
  co_await wait_for_end(attempts, Deadline::never());
  if (attempts.first) co_return std::move(*attempts.first);
  if (attempts.last_failure) co_return std::unexpected(*attempts.last_failure);
  if (addresses.empty()) {
    co_return failure(ErrorCode::kDns, ErrorSource::kUpstream, fmt::format("{} has no address", target.host));
  }
  co_return failure(ErrorCode::kTimeout, ErrorSource::kUpstream,
                    fmt::format("no time was left to connect to {}", target.host));
}

Task<Result<Connection>> dial(Loop& loop, DialTarget target, std::chrono::milliseconds connect_timeout,
                              Deadline deadline) {
  auto addresses =
      co_await resolve_host(target.host, target.port, earlier(Deadline::after(connect_timeout), deadline));
  if (!addresses) co_return std::unexpected(addresses.error());
  co_return co_await dial_any(loop, std::move(target), interleave_families(*addresses), connect_timeout,
                              deadline);
}

}  // namespace layover::net
