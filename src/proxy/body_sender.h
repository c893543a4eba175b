// Sends a range of content to a client as it becomes readable: the reader's side of the tee.
#pragma once

#include "base/bytes.h"
#include "cache/reader.h"
#include "net/task.h"
#include "proxy/exchange.h"

namespace layover::proxy {

/// Sends `range`; an error where the content fails midway or the client has gone. Both references must
/// outlive the task.
net::Task<Result<void>> send_range(Exchange& exchange, cache::Reader& reader, ByteRange range);

/// Sends the whole content, whose size is unknown, in chunks (RFC 9112 7.1). The last data and the closing
/// chunk are sent only once the content is verified.
net::Task<Result<void>> send_chunked(Exchange& exchange, cache::Reader& reader);

}  // namespace layover::proxy
