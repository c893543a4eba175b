// Pages are passed through with upstream's own parameters, so that its way of paging works; only the links
// lead back here.
#include "proxy/tag_list.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/ascii.h"
#include "base/log.h"
#include "net/offload.h"
#include "net/url.h"
#include "oci/tag_list.h"
#include "proxy/target.h"

namespace layover::proxy {

namespace {

using metrics::CacheResult;

/// The longest lists that registries give in one page have some 100,000 tags.
constexpr Bytes kMaxList = 16_MiB;
/// How often a list that does not change is written again.
constexpr std::chrono::minutes kRecordEvery{1};

struct Page {
  std::shared_ptr<const upstream::Registry> registry;
  cache::Scope scope;
  std::string query;  // as upstream is asked

  std::string key() const { return scope.to_string() + "?" + query; }
};

/// "n=0" asks for no tags, and whether there may be any: upstreams disagree on how to answer that.
bool asks_for_none(std::string_view query) {
  return query == "n=0" || query.starts_with("n=0&") || query.contains("&n=0&") || query.ends_with("&n=0");
}

/// The query of the page that a Link header leads to (RFC 8288), without a registry's name in it; empty where
/// there is none.
std::string next_query(const net::Url& asked, const net::HttpHeaders& headers) {
  for (const std::string_view link : headers.all("link")) {
    const auto end = link.find('>');
    if (!link.starts_with('<') || end == std::string_view::npos) continue;
    const std::string_view parameters = link.substr(end);
    if (!parameters.contains("rel=\"next\"") && !parameters.contains("rel=next")) continue;
    const auto target = net::resolve(asked, link.substr(1, end - 1));
    if (!target) continue;
    const auto mark = target->target.find('?');
    if (mark == std::string::npos) continue;
    return query_without_ns(std::string_view(target->target).substr(mark + 1));
  }
  return {};
}

net::Task<Result<cache::TagListRecord>> ask(Exchange& exchange, const Page& page, bool has_fallback,
                                            Deadline deadline) {
  const bool is_probe = asks_for_none(page.query);
  const std::string query_text = is_probe ? "n=1" : page.query;
  upstream::Query query = make_query(exchange, page.registry, page.scope, metrics::Kind::kTags,
                                     query_text.empty() ? "tags/list" : "tags/list?" + query_text);
  query.accept = {"application/json"};
  query.has_fallback = has_fallback;
  auto response = co_await exchange.context().client.send(std::move(query), deadline);
  if (!response) co_return std::unexpected(response.error());
  std::string next = next_query(response->url(), response->info().headers);
  auto body = co_await response->read_all(kMaxList, deadline);
  if (!body) co_return std::unexpected(body.error());
  auto checked = co_await net::offload(
      net::Work::kCompute, [text = std::move(*body), name = page.scope.to_string()]() -> Result<std::string> {
        if (oci::is_tag_list(text)) return text;
        return failure(ErrorCode::kProtocol, ErrorSource::kUpstream,
                       fmt::format("what upstream sent for the tags of {} is no list of tags", name));
      });
  if (!checked) co_return std::unexpected(checked.error());
  cache::TagListRecord list{.page = page.key(),
                            .confirmed = exchange.context().cache.clock().wall_now(),
                            .next = std::move(next),
                            .body = std::move(*checked)};
  if (is_probe) {
    list.next.clear();
    list.body = oci::empty_tag_list(page.scope.repository.str());
  }
  co_return list;
}

void record(cache::LoopCache& cache, const std::optional<cache::TagListRecord>& known,
            const cache::TagListRecord& list) {
  const bool is_recorded = known && known->body == list.body && known->next == list.next &&
                           cache.is_younger(known->confirmed, kRecordEvery);
  if (is_recorded || Bytes{list.body.size()} > cache::kMaxTagList) return;
  std::vector<cache::Change> changes;
  changes.emplace_back(cache::PutTagList{.record = list});
  cache.writer().write_later(std::move(changes));
}

net::Task<void> send(Exchange& exchange, CacheResult how, cache::TagListRecord list) {
  net::ResponseHead head = exchange.begin(200, how);
  head.add("Content-Type", "application/json");
  if (!list.next.empty()) {
    const std::string_view target = exchange.request().target;
    const auto ns = ns_parameter(target);
    head.add("Link", fmt::format("<{}?{}{}{}>; rel=\"next\"", target.substr(0, target.find('?')), list.next,
                                 ns.empty() ? "" : "&", ns));
  }
  co_await exchange.send(std::move(head), list.body);
}

}  // namespace

net::Task<void> serve_tag_list(Exchange& exchange, const Route& route,
                               std::shared_ptr<const upstream::Registry> registry) {
  const cache::Scope scope{.registry = *route.registry, .repository = *route.repository};
  const Page page{.registry = std::move(registry), .scope = scope, .query = route.query};
  const config::Times& times = page.registry->settings().times;
  cache::LoopCache& cache = exchange.context().cache;
  auto known = cache.snapshot().tag_list(page.key());
  const bool is_servable = known && cache.is_younger(known->confirmed, times.stale_ttl);
  const auto budget = Deadline::after(times.first_byte_budget);
  const auto limit = is_servable ? earlier(budget, Deadline::after(times.confirm_timeout)) : budget;

  auto list = co_await ask(exchange, page, is_servable, limit);
  if (list) {
    record(cache, known, *list);
    co_await send(exchange, CacheResult::kMiss, std::move(*list));
    co_return;
  }
  if (known && list.error().is_refusal()) {
    std::vector<cache::Change> changes;
    changes.emplace_back(cache::RemoveTagLists{.scope = page.scope});
    auto removed = co_await cache.writer().write(std::move(changes));
    if (!removed) log_error("{}", removed.error().describe());
  }
  if (!is_servable || !list.error().is_outage()) {
    co_await exchange.fail(list.error());
    co_return;
  }
  log(page.registry->health().is_down() ? LogLevel::kDebug : LogLevel::kWarning,
      "the tags of {} are served stale: {}", page.scope.to_string(), list.error().describe());
  co_await send(exchange, CacheResult::kStale, std::move(*known));
}

}  // namespace layover::proxy
