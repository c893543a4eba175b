// The descriptors that the process may have, and how many of them are for clients' connections.
#pragma once

#include <cstddef>

namespace layover::proxy {

/// Raises the limit to the highest that the process may set itself: service managers and shells start
/// programs with a low one (1024) for the sake of those that use select(2). Before any thread starts.
void raise_descriptor_limit();

/// RLIMIT_NOFILE as it is now.
std::size_t descriptor_limit();

/// How many connections of clients so many descriptors are enough for. `loops`: threads of the server.
std::size_t connections_for(std::size_t descriptors, unsigned loops);

}  // namespace layover::proxy
