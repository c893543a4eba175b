// Queries upstream on behalf of a request.
#include "proxy/target.h"

#include <utility>

namespace layover::proxy {

upstream::Query make_query(Exchange& exchange, std::shared_ptr<const upstream::Registry> registry,
                           const cache::Scope& scope, metrics::Kind kind, std::string path) {
  exchange.note_upstream_asked();
  std::string cdn_loop;
  for (const std::string_view hop : exchange.request().headers.all("cdn-loop")) {
    cdn_loop += hop;
    cdn_loop += ", ";
  }
  cdn_loop += exchange.context().shared.instance;
  return {.registry = std::move(registry),
          .repository = scope.repository,
          .path = std::move(path),
          .kind = kind,
          .is_head = false,
          .accept = {"*/*"},
          .range = {},
          .cdn_loop = std::move(cdn_loop)};
}

}  // namespace layover::proxy
