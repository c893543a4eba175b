// GET and HEAD of /v2/<name>/blobs/<digest>.
#pragma once

#include "net/task.h"
#include "proxy/exchange.h"
#include "proxy/target.h"

namespace layover::proxy {

/// `target.reference` is a digest. Answers in any case.
net::Task<void> serve_blob(Exchange& exchange, Target target);

}  // namespace layover::proxy
