// Routing a request.
#include "proxy/registry_service.h"

#include <optional>
#include <utility>

#include <fmt/format.h>

#include "proxy/blobs.h"
#include "proxy/error_answer.h"
#include "proxy/exchange.h"
#include "proxy/manifests.h"
#include "proxy/route.h"
#include "proxy/tag_list.h"
#include "proxy/target.h"

namespace layover::proxy {

namespace {

using oci::SpecErrorCode;

constexpr std::size_t kLongestHops = 1024;

net::Task<void> send_ping(Exchange& exchange) {
  net::ResponseHead head = exchange.begin(200);
  head.add("Content-Type", "application/json");
  co_await exchange.send(std::move(head), "{}");
}

/// What is refused whatever the registry: methods that change something, and our own requests coming back.
std::optional<ErrorAnswer> refuse_at_once(const Exchange& exchange, const std::string& instance) {
  const net::HttpRequest& request = exchange.request();
  if (!request.is_get() && !request.is_head()) {
    return make_answer(405, SpecErrorCode::kUnsupported,
                       "layover is a pull-through cache: it takes no pushes or deletes");
  }
  if (request.headers.has_token("cdn-loop", instance)) {
    return make_answer(508, SpecErrorCode::kUnavailable,
                       "this request has passed through here before: the chain of mirrors is a loop");
  }
  // It goes upstream with a question that others may wait for too, and no chain of caches is this long.
  std::size_t hops = 0;
  for (const std::string_view hop : request.headers.all("cdn-loop")) hops += hop.size();
  if (hops > kLongestHops) {
    return make_answer(431, SpecErrorCode::kUnsupported, "the CDN-Loop header is too long");
  }
  return std::nullopt;
}

net::Task<void> serve_content(Exchange& exchange, std::shared_ptr<const upstream::Registry> registry) {
  const Route& route = *exchange.route();
  Target target{.registry = std::move(registry),
                .scope = {.registry = *route.registry, .repository = *route.repository},
                .reference = *route.reference};
  return route.resource == Resource::kManifest ? serve_manifest(exchange, std::move(target))
                                               : serve_blob(exchange, std::move(target));
}

/// The registry that the route names, if layover may reach it; else null.
std::shared_ptr<const upstream::Registry> find_registry(Exchange& exchange) {
  auto found = exchange.configuration().registries.find(*exchange.route()->registry);
  if (found != nullptr) exchange.set_registry(found);
  return found;
}

net::Task<void> refuse_registry(Exchange& exchange) {
  const std::string& name = exchange.route()->registry->str();
  exchange.context().shared.metrics.access_denied(metrics::DenialReason::kRegistry).add();
  co_await exchange.fail(make_answer(
      403, SpecErrorCode::kDenied,
      fmt::format("layover may not reach the registry {}: add \"{}\" to \"registries\" in its configuration",
                  name, name)));
}

net::Task<void> answer(Exchange& exchange, const oci::RegistryName& default_registry) {
  auto route = parse_route(exchange.request().target);
  if (route) exchange.set_route(complete(std::move(*route), default_registry));
  if (const auto refusal = refuse_at_once(exchange, exchange.context().shared.instance)) {
    co_await exchange.fail(*refusal);
    co_return;
  }
  if (!route) {
    co_await exchange.fail(make_answer(route.error().status, route.error().code, route.error().message));
    co_return;
  }
  if (exchange.route()->has_ns) exchange.set_namespace(exchange.route()->registry->str());
  auto registry = find_registry(exchange);
  if (!registry) {
    co_await refuse_registry(exchange);
    co_return;
  }
  switch (exchange.route()->resource) {
    case Resource::kPing: co_await send_ping(exchange); break;
    case Resource::kManifest:
    case Resource::kBlob: co_await serve_content(exchange, std::move(registry)); break;
    case Resource::kTags: co_await serve_tag_list(exchange, *exchange.route(), std::move(registry)); break;
    case Resource::kReferrers:
      // The status at which clients look for the tag that stands in for referrers.
      co_await exchange.fail(make_answer(404, SpecErrorCode::kUnsupported, "layover lists no referrers yet"));
      break;
  }
}

}  // namespace

net::Task<void> serve_registry_request(WorkerContext& context, std::size_t listener,
                                       net::ServerConnection& connection, const net::HttpRequest& request) {
  Exchange exchange(context, connection, request);
  co_await answer(exchange, exchange.configuration().settings->listen[listener].default_registry);
  exchange.finish();
}

net::Task<void> refuse_connection(WorkerContext& context, net::ServerConnection& connection,
                                  const net::HttpRequest& request, std::string_view why) {
  Exchange exchange(context, connection, request);
  connection.end_after_this();
  co_await exchange.fail(make_answer(503, SpecErrorCode::kUnavailable, why));
  exchange.finish();
}

}  // namespace layover::proxy
