// The registry API: one request in, one answer out. Decides what is asked for, of which registry, and
// whether that is allowed, and hands on to the resource's handler.
#pragma once

#include <memory>

#include "net/server_connection.h"
#include "net/task.h"
#include "oci/registry_name.h"
#include "proxy/worker_context.h"

namespace layover::proxy {

/// Answers `request`. All references must outlive the task.
net::Task<void> serve_registry_request(WorkerContext& context, const oci::RegistryName& default_registry,
                                       net::ServerConnection& connection, const net::HttpRequest& request);

}  // namespace layover::proxy
