// Asking a registry: authenticates where it is challenged, follows redirects within the policy, and
// turns refusals into errors that carry upstream's answer.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "metrics/metrics.h"
#include "net/task.h"
#include "net/task_group.h"
#include "oci/reference.h"
#include "upstream/challenge.h"
#include "upstream/exchange.h"
#include "upstream/pool.h"
#include "upstream/registry.h"
#include "upstream/tokens.h"

namespace layover::upstream {

/// A request for something in a repository.
struct Query {
  std::shared_ptr<const Registry> registry;
  oci::RepositoryName repository;
  std::string path;  // below the repository: "manifests/latest", "blobs/sha256:..."
  metrics::Kind kind = metrics::Kind::kOther;
  bool is_head = false;
  std::vector<std::string> accept;
  std::string range;            // the Range header's value; empty: none
  std::string if_none_match{};  // the If-None-Match header's value: a 304 is then an answer; empty: none
  /// Something stored can stand in for the answer: a registry that is known to be down is not waited for.
  bool has_fallback = false;
  std::string cdn_loop;
};

/// One per loop; lives on it. `tokens` and `metrics` outlive it.
class Client {
 public:
  Client(net::Loop& loop, TokenTable& tokens, metrics::Metrics& metrics);
  /// Starts closing idle connections now and then.
  void start();

  /// A 200, 206 or (where it was asked for) 304. Errors: kNotFound, kDenied, kUnauthorized, kRateLimited and
  /// kStatus carry the answer of the registry itself, or of its token service where that is about access;
  /// everything else, also what a redirect's target says, is trouble on the way to it, and tried again a
  /// little later where there is no fallback. What the registry's health remembers is answered without
  /// asking. All within `deadline`.
  net::Task<Result<Response>> send(Query query, Deadline deadline);
  /// Counts an answer that its receiver could make no sense of.
  void count_nonsense(const Registry& registry) const;

 private:
  net::Task<Result<Response>> ask(Query query, Deadline deadline);
  net::Task<Result<Response>> send_with(const Query& query, std::string authorization, Deadline deadline);
  net::Task<Result<std::string>> authorize(const Query& query, Authentication challenge, std::string refused,
                                           Deadline deadline);
  net::Task<void> refresh(Query query, Authentication challenge, std::string refused,
                          TokenTable::Refreshing refreshing);
  net::Task<Result<Authorization>> fetch_authorization(const Query& query, Authentication challenge,
                                                       std::string refused, Deadline deadline);
  net::Task<Result<Authorization>> fetch_token(const Query& query, Authentication challenge,
                                               std::optional<Login> login, Deadline deadline);
  net::Task<void> close_idle();

  TokenTable& tokens_;
  metrics::Metrics& metrics_;
  ConnectionPool pool_;
  net::TaskGroup background_;  // last: its tasks use the pool
};

}  // namespace layover::upstream
