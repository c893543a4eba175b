// A mirror is passed over as long as it is known to be down: whether it is up again is found out beside the
// requests, so that a dead one costs the time of one request.
#include "upstream/client.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/log.h"
#include "net/offload.h"
#include "net/wait.h"
#include "upstream/retries.h"

namespace layover::upstream {

namespace {

/// Another layover's answer to this one request (RFC 5842 7.2).
constexpr int kLoopDetected = 508;

/// What a 404 is remembered for: whatever part of it is asked for, it is not there.
std::string missing_key(const Query& query) {
  std::string key =
      fmt::format("{} {} {}", query.is_head ? "HEAD" : "GET", query.repository.str(), query.path);
  for (const std::string& accept : query.accept) key += " " + accept;
  return key;
}

/// A gateway that finds nobody behind it, or a service that is overloaded, is as good as down. Where we have
/// no descriptor left, that says nothing about the registry; nor does what a redirect's target answers, which
/// may lack this one content.
bool is_down(const Error& error) {
  const UpstreamAnswer* answer = error.answer();
  if (error.code() == ErrorCode::kStatus && answer == nullptr) return false;
  const bool is_bad = answer == nullptr || (answer->status >= 502 && answer->status != kLoopDetected);
  return error.is_outage() && error.source() == ErrorSource::kUpstream && is_bad;
}

/// `must_note_outage` is false where each request is to find out for itself.
void remember(const Endpoint& endpoint, const Query& query, const Result<Response>& response,
              bool must_note_outage) {
  EndpointHealth& health = endpoint.health();
  if (response) {
    health.note_answer();
    return;
  }
  if (query.is_extra) return;
  const Error& error = response.error();
  if (error.code() == ErrorCode::kRateLimited && error.answer() != nullptr) {
    health.note_rate_limit(query.kind, error, Clock::system().wall_now());
  } else if (is_down(error)) {
    if (must_note_outage) health.note_outage(error);
  } else if (error.answer() != nullptr) {
    health.note_answer();
    if (error.code() == ErrorCode::kNotFound) {
      health.note_not_found(missing_key(query), error, endpoint.times().not_found_ttl);
    }
  }
}

/// What an answer that made no sense is remembered for.
std::string wrong_key(const Query& query) {
  return query.is_by_digest ? query.path : fmt::format("{} {}", query.repository.str(), query.path);
}

/// Whether the mirror has said what there is to say for a while, or has lied: it is not asked then, whatever
/// becomes of the others.
bool has_declined(const Endpoint& mirror, const Query& query) {
  const EndpointHealth& health = mirror.health();
  return health.rate_limit(query.kind) || health.not_found(missing_key(query)) ||
         health.gave_wrong(wrong_key(query));
}

std::vector<std::shared_ptr<const Endpoint>> mirrors_for(const Query& query) {
  std::vector<std::shared_ptr<const Endpoint>> mirrors;
  for (const Registry::Mirror& mirror : query.registry->mirrors()) {
    if (query.is_by_digest || mirror.may_resolve) mirrors.push_back(mirror.endpoint);
  }
  return mirrors;
}

net::Task<Result<Client::Whole>> read_checked(Response response, Bytes limit, Client::Check check,
                                              Deadline deadline) {
  Client::Whole whole{.url = response.url(), .info = response.info(), .body = {}};
  auto body = co_await response.read_all(limit, deadline);
  if (!body) co_return std::unexpected(body.error());
  whole.body = std::move(*body);
  co_return co_await net::offload(
      net::Work::kCompute,
      [whole = std::move(whole), check = std::move(check)]() mutable -> Result<Client::Whole> {
        auto checked = check(whole.info, whole.body);
        if (!checked) return std::unexpected(checked.error());
        return std::move(whole);
      });
}

}  // namespace

Client::Client(net::Loop& loop, TokenTable& tokens, metrics::Metrics& metrics)
    : loop_(loop), endpoints_(loop, tokens, metrics), probes_(loop) {}

/// As long as it lives, an answer is waited for that something stored could stand in for. Slow is as bad as
/// down: after `confirm_timeout` an outage is noted, so that the next request does not wait.
class Client::SlowAnswer final : net::Timer {
 public:
  SlowAnswer(net::Loop& loop, const Endpoint& endpoint) : endpoint_(endpoint) {
    loop.arm(*this, Deadline::after(endpoint.times().confirm_timeout));
  }

 private:
  void expire() override {
    // Those that wait for a connection wait for us.
    if (endpoint_.connection_limit() && endpoint_.connection_limit()->is_taken_up()) return;
    endpoint_.health().note_outage(Error(ErrorCode::kTimeout, ErrorSource::kUpstream,
                                         fmt::format("{} took too long to answer", endpoint_.name())));
  }

  const Endpoint& endpoint_;
};

net::Task<Result<Response>> Client::send(Query query, Deadline deadline) {
  const auto mirrors = mirrors_for(query);
  if (mirrors.empty()) co_return co_await ask_own(std::move(query), deadline);

  std::vector<Target> passed_over;
  std::string troubles;
  for (std::size_t i = 0; i < mirrors.size(); ++i) {
    if (has_declined(*mirrors[i], query)) continue;
    if (must_pass_over(mirrors[i])) {
      passed_over.push_back(mirrors[i]);
      continue;
    }
    auto response = co_await ask_mirror(mirrors[i], query, share_of(deadline, mirrors.size() - i + 1));
    if (response) co_return response;
    // What no client has asked for waits for nobody: nor does it go elsewhere instead.
    if (query.prefetch && response.error().code() == ErrorCode::kCancelled) co_return response;
    troubles += fmt::format("{}; ", response.error().describe());
  }
  if (query.has_fallback) passed_over.clear();  // that is better than to ask them after all
  auto response = co_await ask_own(query, share_of(deadline, passed_over.size() + 1));
  if (response || response.error().is_refusal()) co_return response;
  // Nobody else is left: perhaps one of those is up again.
  for (std::size_t i = 0; i < passed_over.size() && !deadline.has_passed(); ++i) {
    auto late = co_await ask_mirror(passed_over[i], query, share_of(deadline, passed_over.size() - i));
    if (late) co_return late;
    troubles += fmt::format("{}; ", late.error().describe());
  }
  if (troubles.empty()) co_return response;
  co_return std::unexpected(response.error().within(fmt::format("{}and then", troubles)));
}

net::Task<Result<Client::Whole>> Client::fetch(Query query, Bytes limit, Check check, Deadline deadline) {
  Retries retries;
  for (;;) {
    auto response = co_await send(query, deadline);
    if (!response) co_return std::unexpected(response.error());
    const auto endpoint = response->endpoint();
    auto whole = co_await read_checked(std::move(*response), limit, check, deadline);
    if (whole) co_return whole;
    if (endpoint->is_mirror()) {
      log_debug("{}: {}", endpoint->name(), whole.error().describe());
      if (is_down(whole.error())) {
        note_break(*endpoint, whole.error());
      } else {
        endpoint->health().note_wrong(wrong_key(query));
      }
      continue;
    }
    const auto pause = query.has_fallback ? std::nullopt : retries.pause_after(whole.error(), deadline);
    if (!pause) co_return whole;
    co_await net::sleep_until(Deadline::after(*pause));
  }
}

net::Task<Result<Response>> Client::ask_own(Query query, Deadline deadline) {
  const Target own = query.registry->own();
  if (auto limited = own->health().rate_limit(query.kind)) co_return std::unexpected(*limited);
  if (auto missing = own->health().not_found(missing_key(query))) co_return std::unexpected(*missing);
  const auto outage = query.has_fallback ? own->health().spare() : std::nullopt;
  if (outage) co_return std::unexpected(*outage);
  // Lists of tags, and content, take long at many a registry that is well.
  const bool is_quick = query.kind != metrics::Kind::kTags && !query.prefetch;
  std::optional<SlowAnswer> slow;
  if (query.has_fallback && is_quick) slow.emplace(loop_, *own);
  Retries retries;
  for (;;) {
    auto response = co_await endpoints_.ask(own, query, deadline);
    std::optional<std::chrono::milliseconds> pause;
    // Who has something to fall back on is better served by that.
    if (!response && !query.has_fallback) pause = retries.pause_after(response.error(), deadline);
    if (!pause) {
      // Without a fallback its own deadline may be what has passed.
      remember(*own, query, response, query.has_fallback);
      // The first client is told to wait as long as those who come after it.
      const auto limited = response ? std::nullopt : own->health().rate_limit(query.kind);
      if (limited && response.error().code() == ErrorCode::kRateLimited) co_return std::unexpected(*limited);
      co_return response;
    }
    co_await net::sleep_until(Deadline::after(*pause));
  }
}

net::Task<Result<Response>> Client::ask_mirror(Target mirror, Query query, Deadline deadline) {
  const auto begun = Deadline::Clock::now();
  auto response = co_await endpoints_.ask(mirror, query, deadline);
  // A share of what is left of the time may be less than a healthy mirror needs.
  const auto enough = std::min(mirror->times().connect_timeout, mirror->times().confirm_timeout);
  const bool had_its_time = Deadline::Clock::now() - begun >= enough;
  const bool is_late = !response && response.error().code() == ErrorCode::kTimeout;
  remember(*mirror, query, response, !is_late || had_its_time);
  if (!response) log_debug("{}", response.error().describe());
  co_return response;
}

bool Client::must_pass_over(const Target& mirror) {
  EndpointHealth& health = mirror->health();
  if (health.take_probe()) probes_.spawn(probe(mirror));
  return !health.may_try();
}

net::Task<void> Client::probe(Target mirror) {
  const auto answer = co_await endpoints_.ping(mirror, Deadline::after(mirror->times().response_timeout));
  if (answer) {
    mirror->health().note_probed();
  } else {
    mirror->health().note_outage(answer.error());
  }
}

void Client::note_break(const Endpoint& from, const Error& error) {
  if (from.is_mirror() && is_down(error)) from.health().note_outage(error);
}

}  // namespace layover::upstream
