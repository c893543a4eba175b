// Asking one endpoint: authenticates where it is challenged, follows redirects within the policy, and turns
// refusals into errors that carry the endpoint's answer.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "metrics/metrics.h"
#include "net/task.h"
#include "net/task_group.h"
#include "upstream/challenge.h"
#include "upstream/endpoint.h"
#include "upstream/exchange.h"
#include "upstream/pool.h"
#include "upstream/query.h"
#include "upstream/tokens.h"

namespace layover::upstream {

/// One per loop; lives on it. `tokens` and `metrics` outlive it.
class EndpointClient {
 public:
  using Target = std::shared_ptr<const Endpoint>;

  EndpointClient(net::Loop& loop, TokenTable& tokens, metrics::Metrics& metrics);
  /// Starts closing idle connections now and then.
  void start();

  /// A 200, 206 or (where it was asked for) 304. Errors: kNotFound, kDenied, kUnauthorized, kRateLimited and
  /// kStatus carry the answer of the endpoint itself, or of its token service where that is about access;
  /// everything else, also what a redirect's target says, is trouble on the way to it. All within `deadline`.
  net::Task<Result<Response>> ask(Target endpoint, Query query, Deadline deadline);
  /// Whether anybody answers there.
  net::Task<Result<void>> ping(Target endpoint, Deadline deadline);

 private:
  Result<Response> vetted(const Endpoint& endpoint, const Query& query, Response response) const;
  net::Task<Result<Response>> send_with(Target endpoint, const Query& query, std::string authorization,
                                        Deadline deadline);
  net::Task<Result<std::string>> authorize(Target endpoint, const Query& query, Authentication challenge,
                                           std::string refused, TokenTable::Why why, Deadline deadline);
  net::Task<void> refresh(Target endpoint, Query query, Authentication challenge, std::string refused,
                          TokenTable::Refreshing refreshing);
  net::Task<Result<Authorization>> fetch_authorization(Target endpoint, const Query& query,
                                                       Authentication challenge, std::string refused,
                                                       Deadline deadline);
  net::Task<Result<Authorization>> fetch_token(Target endpoint, const Query& query, Authentication challenge,
                                               std::optional<Login> login, Deadline deadline);
  void count_nonsense(const Endpoint& endpoint) const;
  net::Task<void> close_idle();

  TokenTable& tokens_;
  metrics::Metrics& metrics_;
  ConnectionPool pool_;
  net::TaskGroup background_;  // last: its tasks use the pool
};

}  // namespace layover::upstream
