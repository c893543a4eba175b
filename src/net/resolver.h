// Host names to addresses. However many tasks on whatever loops ask for one name, it is looked up once at a
// time: a name server that does not answer holds one thread of the pool, not all that other names need.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/deadline.h"
#include "base/error.h"
#include "net/socket_address.h"
#include "net/task.h"

namespace layover::net {

/// Blocks; runs on the pool. kDns.
using LookUp = std::function<Result<std::vector<SocketAddress>>(const std::string& host, std::uint16_t port)>;

/// The addresses of `host`, which may be numeric; those of a name are not remembered. kDns, also where the
/// deadline passes first; the look-up then goes on, and whoever asks for the name meanwhile waits for it.
Task<Result<std::vector<SocketAddress>>> resolve_host(std::string host, std::uint16_t port, Deadline deadline,
                                                      LookUp look_up = &net::look_up);

}  // namespace layover::net
