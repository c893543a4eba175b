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

bool is_led_elsewhere(const Target& target, const Error& error) {
  if (error.code() == ErrorCode::kDigestMismatch) return true;
  if (target.registry->mirrors().empty()) return false;
  const bool is_past_end = error.answer() != nullptr && error.answer()->status == 416;
  return error.code() == ErrorCode::kProtocol || error.code() == ErrorCode::kShortBody || is_past_end;
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
