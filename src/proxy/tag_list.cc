// Pages are passed through with upstream's own parameters, so that its way of paging works; only the links
// lead back here.
#include "proxy/tag_list.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/log.h"
#include "net/link_header.h"
#include "net/single_flight.h"
#include "net/url.h"
#include "oci/tag_list.h"
#include "proxy/tag_query.h"
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
    const auto next = net::find_link(link, "next");
    if (!next) continue;
    const auto target = net::resolve(asked, *next);
    if (!target) continue;
    const auto mark = target->target.find('?');
    if (mark == std::string::npos) continue;
    return query_without_ns(std::string_view(target->target).substr(mark + 1));
  }
  return {};
}

/// Owns all that asking needs: it may outlive the request that wanted to know.
struct ListQuestion {
  Page page;
  upstream::Query query;
  std::optional<cache::TagListRecord> known;
};

using List = std::shared_ptr<const cache::TagListRecord>;
using Lists = net::SingleFlight<std::string, List>;

ListQuestion list_question(Exchange& exchange, const Page& page, std::optional<cache::TagListRecord> known,
                           bool has_fallback) {
  const std::string text = asks_for_none(page.query) ? "n=1" : page.query;
  upstream::Query query = make_query(exchange, page.registry, page.scope, metrics::Kind::kTags,
                                     text.empty() ? "tags/list" : "tags/list?" + text);
  query.accept = {"application/json"};
  query.vet = refuse_html;
  query.has_fallback = has_fallback;
  return {.page = page, .query = std::move(query), .known = std::move(known)};
}

net::Task<Result<cache::TagListRecord>> ask(WorkerContext& context, const ListQuestion& question,
                                            Deadline deadline) {
  const auto check = [name = question.page.scope.to_string()](const net::ResponseInfo&,
                                                              const std::string& text) -> Result<void> {
    if (oci::is_tag_list(text)) return {};
    return failure(ErrorCode::kProtocol, ErrorSource::kUpstream,
                   fmt::format("what upstream sent for the tags of {} is no list of tags", name));
  };
  auto whole = co_await context.client.fetch(question.query, kMaxList, check, deadline);
  if (!whole) co_return std::unexpected(whole.error());
  cache::TagListRecord list{.page = question.page.key(),
                            .confirmed = context.cache.clock().wall_now(),
                            .next = next_query(whole->url, whole->info.headers),
                            .body = std::move(whole->body)};
  if (asks_for_none(question.page.query)) {
    list.next.clear();
    list.body = oci::empty_tag_list(question.page.scope.repository.str());
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

/// What upstream refuses is not listed in its next outage either.
net::Task<void> forget(cache::LoopCache& cache, const cache::Scope& scope) {
  std::vector<cache::Change> changes;
  changes.emplace_back(cache::RemoveTagLists{.scope = scope});
  auto removed = co_await cache.writer().write(std::move(changes));
  if (!removed) log_error("{}", removed.error().describe());
}

/// The one that asks, for all who wait; what it learns is kept before they are told. A list may take long: it
/// is asked for with a request's whole time, whatever those who wait are served meanwhile.
net::Task<void> ask_and_tell(WorkerContext& context, ListQuestion question, Lists::Duty duty) {
  const auto budget = question.page.registry->settings().times.first_byte_budget;
  auto list = co_await ask(context, question, Deadline::after(budget));
  if (list) {
    record(context.cache, question.known, *list);
    duty.settle(std::make_shared<const cache::TagListRecord>(std::move(*list)));
    co_return;
  }
  if (question.known && list.error().is_refusal()) co_await forget(context.cache, question.page.scope);
  duty.settle(std::unexpected(list.error()));
}

net::Task<void> send(Exchange& exchange, CacheResult how, List list) {
  if (auto held = exchange.hold_in_memory(Bytes{list->body.size()}); !held) {
    co_await exchange.fail(held.error());
    co_return;
  }
  net::ResponseHead head = exchange.begin(200, how);
  head.add("Content-Type", "application/json");
  if (!list->next.empty()) {
    const std::string_view target = exchange.request().target;
    const auto ns = ns_parameter(target);
    head.add("Link", fmt::format("<{}?{}{}{}>; rel=\"next\"", target.substr(0, target.find('?')), list->next,
                                 ns.empty() ? "" : "&", ns));
  }
  co_await exchange.send(std::move(head), list->body);
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

  WorkerContext& context = exchange.context();
  const auto start = [&](Lists::Duty duty) {
    context.background.spawn(
        ask_and_tell(context, list_question(exchange, page, known, is_servable), std::move(duty)));
  };
  auto answer = co_await context.shared.tag_lists.join(page.key(), start, limit);
  if (answer && *answer) {
    co_await send(exchange, CacheResult::kMiss, std::move(**answer));
    co_return;
  }
  const Error error = answer ? answer->error()
                             : Error(ErrorCode::kTimeout, ErrorSource::kUpstream,
                                     fmt::format("{} took too long to list the tags of {}",
                                                 page.registry->name(), page.scope.to_string()));
  if (!is_servable || !error.is_outage()) {
    co_await exchange.fail(error);
    co_return;
  }
  log(page.registry->health().is_down() ? LogLevel::kDebug : LogLevel::kWarning,
      "the tags of {} are served stale: {}", page.scope.to_string(), error.describe());
  co_await send(exchange, CacheResult::kStale,
                std::make_shared<const cache::TagListRecord>(std::move(*known)));
}

}  // namespace layover::proxy
