// A request goes out with the authorization that is known; a 401 is answered once, with a renewed one.
#include "upstream/client.h"

#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "net/offload.h"
#include "net/response_head.h"
#include "net/wait.h"
#include "upstream/basic.h"
#include "upstream/credential_helper.h"
#include "upstream/retries.h"
#include "upstream/scope.h"
#include "upstream/token_response.h"

namespace layover::upstream {

namespace {

constexpr int kMaxRedirects = 5;
constexpr Bytes kMaxErrorBody = 64_KiB;
/// A refusal is told without its body where that does not come at once.
constexpr std::chrono::seconds kErrorBodyTime{1};
constexpr std::chrono::seconds kHousekeeping{15};
/// A token is renewed this long before it expires, or after nine tenths of a short life.
constexpr std::chrono::seconds kRenewEarly{10};

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

ErrorCode code_of(int status) {
  switch (status) {
    case 401: return ErrorCode::kUnauthorized;
    case 403: return ErrorCode::kDenied;
    case 404: return ErrorCode::kNotFound;
    case 429: return ErrorCode::kRateLimited;
    default: return ErrorCode::kStatus;
  }
}

/// The error for an answer of the registry that is no 2xx, with as much of its body as a client could want.
net::Task<Error> refusal(const Registry& registry, Response& response, std::string what, Deadline deadline) {
  const net::ResponseInfo& info = response.info();
  UpstreamAnswer answer{.status = info.status,
                        .content_type = std::string(info.headers.get("content-type").value_or("")),
                        .body = {},
                        .retry_after = std::string(info.headers.get("retry-after").value_or(""))};
  const auto limit = earlier(deadline, Deadline::after(kErrorBodyTime));
  auto body = co_await response.read_all(kMaxErrorBody, limit);
  if (body) answer.body = std::move(*body);
  const Error error(code_of(info.status), ErrorSource::kUpstream,
                    fmt::format("{} answered {} {} to {}", registry.name(), info.status,
                                net::reason_phrase(info.status), what));
  co_return error.with_answer(std::move(answer));
}

/// The error for an answer that is no 2xx and not the registry's own: it decides nothing about the content.
Error trouble(const Response& response, std::string_view what) {
  return {ErrorCode::kStatus, ErrorSource::kUpstream,
          fmt::format("{} answered {} {} to {}", response.url().authority(), response.info().status,
                      net::reason_phrase(response.info().status), what)};
}

/// The error for an answer of the token service that is no 200.
net::Task<Error> token_refusal(const Registry& registry, Response& response, Deadline deadline) {
  const int status = response.info().status;
  std::string what = fmt::format("the request for a token at {}", response.url().without_query());
  // Only these are about the right to read; a token service that is lost or ill decides nothing.
  const bool is_about_access = status == 401 || status == 403 || status == 429 || status >= 500;
  if (!is_about_access) co_return trouble(response, what);
  co_return co_await refusal(registry, response, std::move(what), deadline);
}

/// An answer that is an error and no verdict on the content is counted as trouble with the registry, whoever
/// gave it.
void count_trouble(const metrics::Metrics& metrics, const Registry& registry, const Error& error) {
  if (!error.is_outage()) return;
  const auto reason = error.code() == ErrorCode::kRateLimited ? metrics::UpstreamReason::kRateLimited
                                                              : metrics::UpstreamReason::kStatus;
  metrics.upstream_errors(registry.label(), reason).add();
}

/// What a 404 is remembered for: whatever part of it is asked for, it is not there.
std::string missing_key(const Query& query) {
  std::string key =
      fmt::format("{} {} {}", query.is_head ? "HEAD" : "GET", query.repository.str(), query.path);
  for (const std::string& accept : query.accept) key += " " + accept;
  return key;
}

std::optional<Error> remembered_answer(const Query& query) {
  RegistryHealth& health = query.registry->health();
  if (auto limited = health.rate_limit(query.kind)) return limited;
  if (auto missing = health.not_found(missing_key(query))) return missing;
  return query.has_fallback ? health.spare() : std::nullopt;
}

/// A gateway that finds nobody behind it, or a service that is overloaded, is as good as down.
bool is_down(const Error& error) {
  const UpstreamAnswer* answer = error.answer();
  return error.is_outage() && (answer == nullptr || answer->status >= 502);
}

void remember(const Query& query, const Result<Response>& response) {
  RegistryHealth& health = query.registry->health();
  if (response) {
    health.note_answer();
    return;
  }
  const Error& error = response.error();
  if (error.code() == ErrorCode::kRateLimited && error.answer() != nullptr) {
    health.note_rate_limit(query.kind, error, Clock::system().wall_now());
  } else if (is_down(error)) {
    // Without a fallback each request finds out for itself; its own deadline may be what has passed.
    if (query.has_fallback) health.note_outage(error);
  } else if (error.answer() != nullptr) {
    health.note_answer();
    if (error.code() == ErrorCode::kNotFound) {
      health.note_not_found(missing_key(query), error, query.registry->settings().times.not_found_ttl);
    }
  }
}

std::string basic(const Login& login) { return basic_authorization(login.username, login.password); }

/// What to show the registry or its token service, if anything: as configured, or of its helper.
net::Task<Result<std::optional<Login>>> find_login(const Registry& registry, std::optional<Login> refused,
                                                   Deadline deadline) {
  const auto& credentials = registry.settings().credentials;
  if (!credentials) co_return std::nullopt;
  if (!registry.helper()) {
    co_return Login{.username = credentials->username, .password = credentials->password};
  }
  auto asked = co_await net::offload_until(
      net::Work::kHelper, deadline,
      [helper = registry.helper(), refused = std::move(refused)] { return helper->get(refused); });
  if (!asked) {
    co_return failure(ErrorCode::kTimeout, ErrorSource::kSelf,
                      fmt::format("the credential helper for {} took too long", registry.name()));
  }
  if (!*asked) co_return std::unexpected(asked->error());
  co_return std::move(**asked);
}

Error no_credentials(const Registry& registry) {
  const Error error(ErrorCode::kUnauthorized, ErrorSource::kUpstream,
                    fmt::format("{} wants credentials and none are configured for it", registry.name()));
  return error.with_answer({.status = 401, .content_type = {}, .body = {}, .retry_after = {}});
}

std::string token_key(const Query& query) {
  return query.registry->identity() + " " + query.repository.str();
}

}  // namespace

Client::Client(net::Loop& loop, TokenTable& tokens, metrics::Metrics& metrics)
    : tokens_(tokens), metrics_(metrics), pool_(loop, metrics), background_(loop) {}

void Client::start() { background_.spawn(close_idle()); }

net::Task<void> Client::close_idle() {
  for (;;) {
    co_await net::sleep_until(Deadline::after(kHousekeeping));
    pool_.close_idle();
  }
}

void Client::count_nonsense(const Registry& registry) const {
  metrics_.upstream_errors(registry.label(), metrics::UpstreamReason::kProtocol).add();
}

net::Task<Result<Response>> Client::send(Query query, Deadline deadline) {
  const auto remembered = remembered_answer(query);
  if (remembered) co_return std::unexpected(*remembered);
  Retries retries;
  for (;;) {
    auto response = co_await ask(query, deadline);
    std::optional<std::chrono::milliseconds> pause;
    // Who has something to fall back on is better served by that.
    if (!response && !query.has_fallback) pause = retries.pause_after(response.error(), deadline);
    if (!pause) {
      remember(query, response);
      co_return response;
    }
    co_await net::sleep_until(Deadline::after(*pause));
  }
}

net::Task<Result<Response>> Client::ask(Query query, Deadline deadline) {
  std::string authorization = tokens_.current(token_key(query));
  for (const bool may_authorize : {true, false}) {
    auto response = co_await send_with(query, authorization, deadline);
    if (!response) {
      co_return std::unexpected(
          response.error().within(fmt::format("{} cannot be asked", query.registry->name())));
    }
    const int status = response->info().status;
    if (status == 200 || status == 206 || (status == 304 && !query.if_none_match.empty())) co_return response;

    const std::string what =
        fmt::format("{} {} of {}", query.is_head ? "HEAD" : "GET", query.path, query.repository.str());
    if (!net::same_origin(response->url(), query.registry->url())) {
      const Error error = trouble(*response, what);
      count_trouble(metrics_, *query.registry, error);
      co_return std::unexpected(error);
    }
    const auto challenge = choose(parse_challenges(response->info().headers.all("www-authenticate")));
    if (status == 401 && may_authorize && challenge) {
      co_await response->discard_rest(deadline);
      auto authorized = co_await authorize(query, *challenge, authorization, deadline);
      if (!authorized) {
        co_return std::unexpected(authorized.error().within(
            fmt::format("no token for {} of {}", query.repository.str(), query.registry->name())));
      }
      authorization = std::move(*authorized);
      continue;
    }
    const Error error = co_await refusal(*query.registry, *response, what, deadline);
    count_trouble(metrics_, *query.registry, error);
    co_return std::unexpected(error);
  }
  std::unreachable();
}

// Follows redirects. Authorization goes to the registry's own origin only: elsewhere it would be a leak,
// and presigned URLs refuse it.
net::Task<Result<Response>> Client::send_with(const Query& query, std::string authorization,
                                              Deadline deadline) {
  const Registry& registry = *query.registry;
  net::Url url = registry.url();
  url.target = fmt::format("/v2/{}/{}", query.repository.str(), query.path);
  for (int hop = 0; hop <= kMaxRedirects; ++hop) {
    const bool is_own = net::same_origin(url, registry.url());
    RequestSpec spec{.is_head = query.is_head,
                     .url = url,
                     .purpose = registry.policy().purpose_of(url, DestinationPolicy::Purpose::kRedirect),
                     .kind = query.kind,
                     .accept = query.accept,
                     .authorization = is_own ? authorization : std::string(),
                     .range = query.range,
                     .if_none_match = query.if_none_match,
                     .cdn_loop = query.cdn_loop};
    auto response = co_await exchange(pool_, query.registry, metrics_, std::move(spec), deadline);
    if (!response || !is_redirect(response->info().status)) co_return response;

    const auto location = response->info().headers.get("location");
    if (!location) {
      count_nonsense(registry);
      co_return failure(ErrorCode::kProtocol, ErrorSource::kUpstream,
                        fmt::format("{} redirects without saying where to", url.authority()));
    }
    auto next = net::resolve(url, *location);
    if (!next)
      co_return std::unexpected(next.error().within(url.authority() + " redirects to no usable address"));
    auto allowed = registry.policy().may_follow(url, *next);
    if (!allowed) co_return std::unexpected(allowed.error());
    co_await response->discard_rest(deadline);
    url = std::move(*next);
  }
  count_nonsense(registry);
  co_return failure(ErrorCode::kProtocol, ErrorSource::kUpstream,
                    fmt::format("{} redirects more than {} times", registry.name(), kMaxRedirects));
}

net::Task<Result<std::string>> Client::authorize(const Query& query, Authentication challenge,
                                                 std::string refused, Deadline deadline) {
  auto start = [this, query, challenge, refused](TokenTable::Refreshing refreshing) {
    background_.spawn(refresh(query, challenge, refused, std::move(refreshing)));
  };
  co_return co_await tokens_.renew(token_key(query), std::move(refused), std::move(start), deadline);
}

net::Task<void> Client::refresh(Query query, Authentication challenge, std::string refused,
                                TokenTable::Refreshing refreshing) {
  const auto limit = Deadline::after(query.registry->settings().times.first_byte_budget);
  auto authorization = co_await fetch_authorization(query, std::move(challenge), std::move(refused), limit);
  refreshing.settle(std::move(authorization));
}

// A helper may have better credentials than those it gave before: it is asked again where these are refused.
net::Task<Result<Authorization>> Client::fetch_authorization(const Query& query, Authentication challenge,
                                                             std::string refused, Deadline deadline) {
  const Registry& registry = *query.registry;
  const bool is_basic = challenge.method == Authentication::Method::kBasic;
  std::optional<Login> refused_login;
  for (;;) {
    auto login = co_await find_login(registry, refused_login, deadline);
    if (!login) co_return std::unexpected(login.error());
    const bool may_ask_again = registry.helper() && !refused_login;
    if (is_basic) {
      if (!*login) co_return std::unexpected(no_credentials(registry));
      Authorization authorization{.value = basic(**login)};
      if (registry.helper()) authorization.renew_at = Deadline::after(CredentialHelper::kKeep);
      if (!may_ask_again || authorization.value != refused) co_return authorization;
    } else {
      auto token = co_await fetch_token(query, challenge, *login, deadline);
      if (token || !may_ask_again || token.error().code() != ErrorCode::kUnauthorized) co_return token;
    }
    refused_login = std::move(*login);
  }
}

net::Task<Result<Authorization>> Client::fetch_token(const Query& query, Authentication challenge,
                                                     std::optional<Login> login, Deadline deadline) {
  const Registry& registry = *query.registry;
  auto realm =
      token_url(challenge.realm,
                {.service = challenge.service,
                 .scope = challenge.scope.empty() ? pull_scope(query.repository.str()) : challenge.scope,
                 .account = login ? login->username : std::string()});
  if (!realm) co_return std::unexpected(realm.error());
  auto allowed = registry.policy().may_follow(registry.url(), *realm);
  if (allowed && login) allowed = registry.policy().may_send_credentials(*realm);
  if (!allowed) co_return std::unexpected(allowed.error());

  const auto asked_at = Deadline::Clock::now();
  RequestSpec spec{.url = *realm,
                   .purpose = registry.policy().purpose_of(*realm, DestinationPolicy::Purpose::kTokenRealm),
                   .accept = {"application/json"},
                   .authorization = login ? basic(*login) : std::string(),
                   .range = {},
                   .if_none_match = {},
                   .cdn_loop = query.cdn_loop};
  auto response = co_await exchange(pool_, query.registry, metrics_, std::move(spec), deadline);
  if (!response) co_return std::unexpected(response.error());
  const int status = response->info().status;
  if (status != 200) {
    const Error error = co_await token_refusal(registry, *response, deadline);
    count_trouble(metrics_, registry, error);
    co_return std::unexpected(error);
  }
  auto body = co_await response->read_all(kMaxTokenResponse, deadline);
  if (!body) co_return std::unexpected(body.error());
  auto token = parse_token_response(*body);
  if (!token) co_return std::unexpected(token.error());
  const auto early = std::min<std::chrono::milliseconds>(kRenewEarly, token->lifetime / 10);
  co_return Authorization{.value = "Bearer " + token->value,
                          .renew_at = Deadline::at(asked_at + token->lifetime - early)};
}

}  // namespace layover::upstream
