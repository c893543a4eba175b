// The list of a repository's tags: upstream's own, page by page; an older one while upstream cannot be asked.
#pragma once

#include <string>

#include "net/task.h"
#include "proxy/exchange.h"
#include "proxy/route.h"
#include "upstream/registry.h"

namespace layover::proxy {

/// GET and HEAD of /v2/<name>/tags/list. `route` is that, and outlives the task.
net::Task<void> serve_tag_list(Exchange& exchange, const Route& route,
                               std::shared_ptr<const upstream::Registry> registry);

}  // namespace layover::proxy
