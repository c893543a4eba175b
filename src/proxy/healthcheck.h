// The client side of the liveness probe, for container images that have no shell and no curl. A program of
// its own: it shares nothing with a running layover but the admin listener's address.
#pragma once

#include <chrono>

#include "base/deadline.h"
#include "base/error.h"
#include "config/network.h"

namespace layover::proxy {

/// What the whole check may take. The server itself gives its loops as long before it answers 503, so a
/// layover that hangs fails either way.
constexpr std::chrono::seconds kHealthcheckPatience{2};

/// Asks `admin`, which may be an unspecified address such as 0.0.0.0, for /livez; success is a 200. Errors
/// name the address and say what happened instead. Blocks until `deadline` at the latest; needs no loop.
Result<void> check_health(const config::Endpoint& admin, Deadline deadline);

}  // namespace layover::proxy
