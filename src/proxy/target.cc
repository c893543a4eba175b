// Queries upstream on behalf of a request.
#include "proxy/target.h"

#include <utility>

namespace layover::proxy {

std::string hops_with_us(Exchange& exchange) {
  std::string hops;
  for (const std::string_view hop : exchange.request().headers.all("cdn-loop")) {
    hops += hop;
    hops += ", ";
  }
  return hops + exchange.context().shared.instance;
}

upstream::Query make_query(Exchange& exchange, std::shared_ptr<const upstream::Registry> registry,
                           const cache::Scope& scope, metrics::Kind kind, std::string path) {
  exchange.note_upstream_asked();
  return {.registry = std::move(registry),
          .repository = scope.repository,
          .path = std::move(path),
          .kind = kind,
          .is_head = false,
          .accept = {"*/*"},
          .range = {},
          .cdn_loop = hops_with_us(exchange)};
}

}  // namespace layover::proxy
