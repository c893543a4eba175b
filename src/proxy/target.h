// What a handler is asked for, once the registry is known and allowed.
#pragma once

#include <memory>
#include <string>

#include "cache/scope.h"
#include "net/task.h"
#include "oci/reference.h"
#include "proxy/exchange.h"
#include "upstream/client.h"
#include "upstream/registry.h"

namespace layover::proxy {

struct Target {
  std::shared_ptr<const upstream::Registry> registry;
  cache::Scope scope;
  oci::Reference reference;
};

/// Whether content that failed so, before a client was told anything, is worth one more try: a mirror that
/// gave wrong bytes, another size or less than all is not asked then.
bool is_led_elsewhere(const Target& target, const Error& error);

/// What the request has passed through, and layover itself: the CDN-Loop of what it makes us ask (RFC 8586).
std::string hops_with_us(Exchange& exchange);

/// A query upstream for a repository, with the hop noted against loops of caches. It is about to be asked:
/// the request log tells so.
upstream::Query make_query(Exchange& exchange, std::shared_ptr<const upstream::Registry> registry,
                           const cache::Scope& scope, metrics::Kind kind, std::string path);

}  // namespace layover::proxy
