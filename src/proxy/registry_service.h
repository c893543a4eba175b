// The registry API: one request in, one answer out. Decides what is asked for, of which registry, and
// whether that is allowed, and hands on to the resource's handler.
#pragma once

#include <cstddef>

#include "net/server_connection.h"
#include "net/task.h"
#include "proxy/worker_context.h"

namespace layover::proxy {

/// Answers `request`, which came in at the listener of that number in the settings. All references must
/// outlive the task.
net::Task<void> serve_registry_request(WorkerContext& context, std::size_t listener,
                                       net::ServerConnection& connection, const net::HttpRequest& request);

}  // namespace layover::proxy
