// Dialling. The policy is asked about the very address that is connected to, so a name that changes
// its mind between look-ups gains nothing.
#include "net/dial.h"

#include <optional>

#include <fmt/format.h>

#include "net/offload.h"

namespace layover::net {

namespace {

Task<Result<std::vector<SocketAddress>>> resolve(std::string host, std::uint16_t port, Deadline deadline) {
  auto numeric = numeric_address(host, port);
  if (!numeric.empty()) co_return numeric;
  auto found = co_await offload_until(Work::kResolve, deadline, [host, port] { return look_up(host, port); });
  if (!found) {
    co_return failure(ErrorCode::kDns, ErrorSource::kUpstream,
                      fmt::format("the name {} was not resolved in time", host));
  }
  co_return std::move(*found);
}

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

}  // namespace

Task<Result<Connection>> dial(Loop& loop, DialTarget target, std::chrono::milliseconds connect_timeout,
                              Deadline deadline) {
  auto addresses =
      co_await resolve(target.host, target.port, earlier(Deadline::after(connect_timeout), deadline));
  if (!addresses) co_return std::unexpected(addresses.error());
  std::optional<Error> last;
  for (const SocketAddress& address : *addresses) {
    if (target.permit) {
      auto permitted = target.permit(address);
      if (!permitted) {
        last = permitted.error();
        continue;
      }
    }
    auto connection =
        co_await connect_one(loop, target, address, earlier(Deadline::after(connect_timeout), deadline));
    if (connection) co_return std::move(*connection);
    last = connection.error();
    if (deadline.has_passed()) break;
  }
  if (!last)
    last = Error(ErrorCode::kDns, ErrorSource::kUpstream, fmt::format("{} has no address", target.host));
  co_return std::unexpected(*last);
}

}  // namespace layover::net
