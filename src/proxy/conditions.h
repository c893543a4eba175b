// Conditional requests (RFC 9110 13): content's validator is its digest, so it never lies.
#pragma once

#include <string>

#include "net/request_parser.h"
#include "net/response_head.h"
#include "oci/digest.h"
#include "proxy/exchange.h"

namespace layover::proxy {

/// The strong entity tag of content: its digest in quotes.
std::string entity_tag(const oci::Digest& digest);

/// Names the content: Docker-Content-Digest and ETag.
void add_digest(net::ResponseHead& head, const oci::Digest& digest);

/// Whether If-None-Match names this content: the client has it, and is answered 304.
bool is_known_to_client(const net::HttpRequest& request, const oci::Digest& digest);

/// Answers 304. `exchange` and `digest` outlive the task.
net::Task<void> send_not_modified(Exchange& exchange, const oci::Digest& digest, metrics::CacheResult how);

}  // namespace layover::proxy
