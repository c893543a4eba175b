// GET and HEAD of /v2/<name>/manifests/<tag or digest>.
#pragma once

#include "net/task.h"
#include "proxy/exchange.h"
#include "proxy/target.h"

namespace layover::proxy {

/// Answers in any case. Manifests are verified whole before the status line.
net::Task<void> serve_manifest(Exchange& exchange, Target target);

}  // namespace layover::proxy
