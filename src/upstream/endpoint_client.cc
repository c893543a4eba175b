// A request goes out with the authorization that is known. What it is refused with is believed once that is
// fresh: a 401 is answered with a renewed one, and so is what registries answer to expired credentials in its
// place.
#include "upstream/endpoint_client.h"

#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "net/offload.h"
#include "net/response_head.h"
#include "net/wait.h"
#include "upstream/basic.h"
#include "upstream/credential_helper.h"
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
net::Task<Error> refusal(const Endpoint& endpoint, Response& response, std::string what, Deadline deadline) {
  const net::ResponseInfo& info = response.info();
  UpstreamAnswer answer{.status = info.status,
                        .content_type = std::string(info.headers.get("content-type").value_or("")),
                        .body = {},
                        .retry_after = {}};
  const auto retry_after = info.headers.get("retry-after").value_or("");
  if (parse_retry_after(retry_after, Clock::system().wall_now())) answer.retry_after = retry_after;
  const auto limit = earlier(deadline, Deadline::after(kErrorBodyTime));
  auto body = co_await response.read_all(kMaxErrorBody, limit);
  if (body) answer.body = std::move(*body);
  const Error error(code_of(info.status), ErrorSource::kUpstream,
                    fmt::format("{} answered {} {} to {}", endpoint.name(), info.status,
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
net::Task<Error> token_refusal(const Endpoint& endpoint, Response& response, Deadline deadline) {
  const int status = response.info().status;
  std::string what = fmt::format("the request for a token at {}", response.url().without_query());
  // Only these are about the right to read; a token service that is lost or ill decides nothing.
  const bool is_about_access = status == 401 || status == 403 || status == 429 || status >= 500;
  if (!is_about_access) co_return trouble(response, what);
  co_return co_await refusal(endpoint, response, std::move(what), deadline);
}

/// An answer that is an error and no verdict on the content is counted as trouble with the registry, whoever
/// gave it.
void count_trouble(const metrics::Metrics& metrics, const Endpoint& endpoint, const Error& error) {
  if (!error.is_outage()) return;
  const auto reason = error.code() == ErrorCode::kRateLimited ? metrics::UpstreamReason::kRateLimited
                                                              : metrics::UpstreamReason::kStatus;
  metrics.upstream_errors(endpoint.label(), reason).add();
}

std::string basic(const Login& login) { return basic_authorization(login.username, login.password); }

/// What to show the registry or its token service, if anything: as configured, or of its helper.
net::Task<Result<std::optional<Login>>> find_login(const Endpoint& endpoint, std::optional<Login> refused,
                                                   Deadline deadline) {
  const auto& credentials = endpoint.credentials();
  if (!credentials) co_return std::nullopt;
  if (!endpoint.helper()) {
    co_return Login{.username = credentials->username, .password = credentials->password};
  }
  auto asked = co_await net::offload_until(
      net::Work::kHelper, deadline,
      [helper = endpoint.helper(), refused = std::move(refused)] { return helper->get(refused); });
  if (!asked) {
    co_return failure(ErrorCode::kTimeout, ErrorSource::kSelf,
                      fmt::format("the credential helper for {} took too long", endpoint.name()));
  }
  if (!*asked) co_return std::unexpected(asked->error());
  co_return std::move(**asked);
}

Error no_credentials(const Endpoint& endpoint) {
  const Error error(ErrorCode::kUnauthorized, ErrorSource::kUpstream,
                    fmt::format("{} wants credentials and none are configured for it", endpoint.name()));
  return error.with_answer({.status = 401, .content_type = {}, .body = {}, .retry_after = {}});
}

/// Whether the answer may be about credentials that have expired rather than about the content, although it
/// is no challenge: Amazon's registry has 403 for that, its public one 400 for tokens, and others hide what
/// they refuse.
bool may_mean_expired(int status, const Authorization& shown, const Query& query) {
  const bool is_bearer = shown.challenge.method == Authentication::Method::kBearer;
  const bool is_stored = query.is_by_digest && query.has_fallback;
  return status == 401 || status == 403 || (status == 400 && is_bearer) || (status == 404 && is_stored);
}

std::string token_key(const Endpoint& endpoint, const Query& query) {
  return endpoint.identity() + " " + query.repository.str();
}

}  // namespace

EndpointClient::EndpointClient(net::Loop& loop, TokenTable& tokens, metrics::Metrics& metrics)
    : tokens_(tokens), metrics_(metrics), pool_(loop, metrics), background_(loop) {}

void EndpointClient::start() { background_.spawn(close_idle()); }

net::Task<void> EndpointClient::close_idle() {
  for (;;) {
    co_await net::sleep_until(Deadline::after(kHousekeeping));
    pool_.close_idle();
  }
}

Result<Response> EndpointClient::vetted(const Endpoint& endpoint, const Query& query,
                                        Response response) const {
  if (!query.vet) return response;
  auto makes_sense = query.vet(response.info());
  if (makes_sense) return response;
  count_nonsense(endpoint);
  return std::unexpected(
      makes_sense.error().within(fmt::format("{} answered with nonsense", endpoint.name())));
}

void EndpointClient::count_nonsense(const Endpoint& endpoint) const {
  metrics_.upstream_errors(endpoint.label(), metrics::UpstreamReason::kProtocol).add();
}

net::Task<Result<Response>> EndpointClient::ask(Target endpoint, Query query, Deadline deadline) {
  Authorization shown = tokens_.current(token_key(*endpoint, query));
  bool may_authorize = true;
  bool may_doubt = true;
  for (;;) {
    auto response = co_await send_with(endpoint, query, shown.value, deadline);
    if (!response) {
      co_return std::unexpected(response.error().within(fmt::format("{} cannot be asked", endpoint->name())));
    }
    const int status = response->info().status;
    if (status == 200 || status == 206) co_return vetted(*endpoint, query, std::move(*response));
    if (status == 304 && !query.if_none_match.empty()) co_return response;

    const std::string what =
        fmt::format("{} {} of {}", query.is_head ? "HEAD" : "GET", query.path, query.repository.str());
    if (!net::same_origin(response->url(), endpoint->url())) {
      const Error error = trouble(*response, what);
      count_trouble(metrics_, *endpoint, error);
      co_return std::unexpected(error);
    }
    const auto challenge = choose(parse_challenges(response->info().headers.all("www-authenticate")));
    const Error error = co_await refusal(*endpoint, *response, what, deadline);
    std::optional<TokenTable::Why> why;
    if (status == 401 && challenge && may_authorize) {
      why = TokenTable::Why::kChallenged;
      shown.challenge = *challenge;
    } else if (may_doubt && !shown.value.empty() && may_mean_expired(status, shown, query)) {
      why = TokenTable::Why::kInDoubt;
    }
    if (why) {
      co_await response->discard_rest(deadline);  // a token service may need its connection
      auto renewed = co_await authorize(endpoint, query, shown.challenge, shown.value, *why, deadline);
      if (!renewed) {
        co_return std::unexpected(renewed.error().within(
            fmt::format("no token for {} of {}", query.repository.str(), endpoint->name())));
      }
      may_authorize = false;
      // A token is new; what a helper gives may be what it gave a while ago.
      may_doubt =
          *why == TokenTable::Why::kChallenged && shown.challenge.method == Authentication::Method::kBasic;
      const bool is_worth_showing = *why == TokenTable::Why::kChallenged || *renewed != shown.value;
      shown.value = std::move(*renewed);
      if (is_worth_showing) continue;
    }
    if (status < 400) {
      count_nonsense(*endpoint);
    } else {
      count_trouble(metrics_, *endpoint, error);
    }
    co_return std::unexpected(error);
  }
}

net::Task<Result<void>> EndpointClient::ping(Target endpoint, Deadline deadline) {
  net::Url url = endpoint->url();
  url.target = "/v2/";
  RequestSpec spec{.url = std::move(url),
                   .kind = metrics::Kind::kPing,
                   .accept = {},
                   .authorization = {},
                   .range = {},
                   .if_none_match = {},
                   .cdn_loop = {}};
  auto response = co_await exchange(pool_, endpoint, metrics_, std::move(spec), deadline);
  if (!response) co_return std::unexpected(response.error());
  co_await response->discard_rest(deadline);
  // A 401 is an answer too.
  if (response->info().status >= 500) co_return std::unexpected(trouble(*response, "GET /v2/"));
  co_return Result<void>{};
}

// Follows redirects. Authorization goes to the registry's own origin only: elsewhere it would be a leak,
// and presigned URLs refuse it.
net::Task<Result<Response>> EndpointClient::send_with(Target endpoint, const Query& query,
                                                      std::string authorization, Deadline deadline) {
  net::Url url = endpoint->url();
  url.target = fmt::format("/v2/{}/{}", query.repository.str(), query.path);
  for (int hop = 0; hop <= kMaxRedirects; ++hop) {
    const bool is_own = net::same_origin(url, endpoint->url());
    RequestSpec spec{.is_head = query.is_head,
                     .url = url,
                     .purpose = endpoint->policy().purpose_of(url, DestinationPolicy::Purpose::kRedirect),
                     .kind = query.kind,
                     .accept = query.accept,
                     .authorization = is_own ? authorization : std::string(),
                     .range = query.range,
                     .if_none_match = query.if_none_match,
                     .cdn_loop = query.cdn_loop,
                     .prefetch = query.prefetch};
    auto response = co_await exchange(pool_, endpoint, metrics_, std::move(spec), deadline);
    if (!response || !is_redirect(response->info().status)) co_return response;

    const auto location = response->info().headers.get("location");
    if (!location) {
      count_nonsense(*endpoint);
      co_return failure(ErrorCode::kProtocol, ErrorSource::kUpstream,
                        fmt::format("{} redirects without saying where to", url.authority()));
    }
    auto next = net::resolve(url, *location);
    if (!next) {
      count_nonsense(*endpoint);
      co_return std::unexpected(next.error().within(url.authority() + " redirects to no usable address"));
    }
    auto allowed = endpoint->policy().may_follow(url, *next);
    if (!allowed) {
      count_nonsense(*endpoint);
      co_return std::unexpected(allowed.error());
    }
    co_await response->discard_rest(deadline);
    url = std::move(*next);
  }
  count_nonsense(*endpoint);
  co_return failure(ErrorCode::kProtocol, ErrorSource::kUpstream,
                    fmt::format("{} redirects more than {} times", endpoint->name(), kMaxRedirects));
}

net::Task<Result<std::string>> EndpointClient::authorize(Target endpoint, const Query& query,
                                                         Authentication challenge, std::string refused,
                                                         TokenTable::Why why, Deadline deadline) {
  auto start = [this, endpoint, query, challenge, refused](TokenTable::Refreshing refreshing) {
    background_.spawn(refresh(endpoint, query, challenge, refused, std::move(refreshing)));
  };
  co_return co_await tokens_.renew(token_key(*endpoint, query), std::move(refused), why, std::move(start),
                                   deadline);
}

net::Task<void> EndpointClient::refresh(Target endpoint, Query query, Authentication challenge,
                                        std::string refused, TokenTable::Refreshing refreshing) {
  const auto limit = Deadline::after(endpoint->times().first_byte_budget);
  auto authorization = co_await fetch_authorization(endpoint, query, challenge, std::move(refused), limit);
  if (authorization) authorization->challenge = std::move(challenge);
  refreshing.settle(std::move(authorization));
}

// A helper may have better credentials than those it gave before: it is asked again where these are refused.
net::Task<Result<Authorization>> EndpointClient::fetch_authorization(Target endpoint, const Query& query,
                                                                     Authentication challenge,
                                                                     std::string refused, Deadline deadline) {
  const bool is_basic = challenge.method == Authentication::Method::kBasic;
  std::optional<Login> refused_login;
  for (;;) {
    auto login = co_await find_login(*endpoint, refused_login, deadline);
    if (!login) co_return std::unexpected(login.error());
    const bool may_ask_again = endpoint->helper() && !refused_login;
    if (is_basic) {
      if (!*login) co_return std::unexpected(no_credentials(*endpoint));
      Authorization authorization{.value = basic(**login)};
      // Also what is configured, so that repositories nobody asks for any more are forgotten.
      authorization.renew_at = Deadline::after(CredentialHelper::kKeep);
      if (!may_ask_again || authorization.value != refused) co_return authorization;
    } else {
      auto token = co_await fetch_token(endpoint, query, challenge, *login, deadline);
      const bool is_refused = !token && token.error().is_refusal();
      if (!is_refused || !may_ask_again) co_return token;
    }
    refused_login = std::move(*login);
  }
}

net::Task<Result<Authorization>> EndpointClient::fetch_token(Target endpoint, const Query& query,
                                                             Authentication challenge,
                                                             std::optional<Login> login, Deadline deadline) {
  auto realm =
      token_url(challenge.realm,
                {.service = challenge.service,
                 .scope = challenge.scope.empty() ? pull_scope(query.repository.str()) : challenge.scope,
                 .account = login ? login->username : std::string()});
  if (!realm) {
    count_nonsense(*endpoint);
    co_return std::unexpected(realm.error());
  }
  auto allowed = endpoint->policy().may_follow(endpoint->url(), *realm);
  if (allowed && login) allowed = endpoint->policy().may_send_credentials(*realm);
  if (!allowed) {
    count_nonsense(*endpoint);
    co_return std::unexpected(allowed.error());
  }

  const auto asked_at = Deadline::Clock::now();
  RequestSpec spec{.url = *realm,
                   .purpose = endpoint->policy().purpose_of(*realm, DestinationPolicy::Purpose::kTokenRealm),
                   .accept = {"application/json"},
                   .authorization = login ? basic(*login) : std::string(),
                   .range = {},
                   .if_none_match = {},
                   .cdn_loop = query.cdn_loop};
  auto response = co_await exchange(pool_, endpoint, metrics_, std::move(spec), deadline);
  if (!response) co_return std::unexpected(response.error());
  const int status = response->info().status;
  if (status != 200) {
    const Error error = co_await token_refusal(*endpoint, *response, deadline);
    count_trouble(metrics_, *endpoint, error);
    co_return std::unexpected(error);
  }
  auto body = co_await response->read_all(kMaxTokenResponse, deadline);
  if (!body) co_return std::unexpected(body.error());
  auto token = parse_token_response(*body);
  if (!token) {
    count_nonsense(*endpoint);
    co_return std::unexpected(token.error());
  }
  const auto early = std::min<std::chrono::milliseconds>(kRenewEarly, token->lifetime / 10);
  co_return Authorization{.value = "Bearer " + token->value,
                          .renew_at = Deadline::at(asked_at + token->lifetime - early)};
}

}  // namespace layover::upstream
