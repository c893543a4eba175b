// The registry API: one request in, one answer out. Decides what is asked for, of which registry, and
// whether that is allowed, and hands on to the resource's handler.
#pragma once

#include <cstddef>
#include <string_view>

#include "net/server_connection.h"
#include "net/task.h"
#include "proxy/worker_context.h"

namespace layover::proxy {

/// Answers `request`, which came in at the listener of that number in the settings. All references must
/// outlive the task.
net::Task<void> serve_registry_request(WorkerContext& context, std::size_t listener,
                                       net::ServerConnection& connection, const net::HttpRequest& request);

/// Answers the first request of a connection that is one too many, whatever it asks for, and ends it. `why`
/// is for the client.
net::Task<void> refuse_connection(WorkerContext& context, net::ServerConnection& connection,
                                  const net::HttpRequest& request, std::string_view why);

}  // namespace layover::proxy
