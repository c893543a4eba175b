// The look-ups under way, and the jobs that make them.
#include "net/resolver.h"

#include <utility>

#include <fmt/format.h>

#include "net/offload.h"
#include "net/single_flight.h"

namespace layover::net {

namespace {

using Addresses = std::vector<SocketAddress>;
using LookUps = SingleFlight<std::string, Addresses>;

LookUps look_ups;  // by "host:port"

}  // namespace

Task<Result<Addresses>> resolve_host(std::string host, std::uint16_t port, Deadline deadline,
                                     LookUp look_up) {
  auto numeric = numeric_address(host, port);
  if (!numeric.empty()) co_return numeric;
  const auto start = [&](LookUps::Duty duty) {
    offload_detached(Work::kResolve,
                     [host, port, look_up = std::move(look_up), duty = std::move(duty)]() mutable {
                       duty.settle(look_up(host, port));
                     });
  };
  auto found = co_await look_ups.join(fmt::format("{}:{}", host, port), start, deadline);
  if (!found) {
    co_return failure(ErrorCode::kDns, ErrorSource::kUpstream,
                      fmt::format("the name {} was not resolved in time", host));
  }
  co_return std::move(*found);
}

}  // namespace layover::net
