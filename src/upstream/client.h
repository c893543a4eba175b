// Asking a registry: its mirrors, then its own url; once more where that may help; and what its last answers
// mean for the next request.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "metrics/metrics.h"
#include "net/task.h"
#include "net/task_group.h"
#include "upstream/endpoint_client.h"
#include "upstream/query.h"
#include "upstream/tokens.h"

namespace layover::upstream {

/// One per loop; lives on it. `tokens` and `metrics` outlive it.
class Client {
 public:
  Client(net::Loop& loop, TokenTable& tokens, metrics::Metrics& metrics);
  /// Starts closing idle connections now and then.
  void start() { endpoints_.start(); }

  /// A 200, 206 or (where it was asked for) 304. What fails at a mirror, however it does, is asked for at the
  /// next one and then at the registry's own url, whose errors these are: see EndpointClient::ask. Trouble on
  /// the way there is tried again a little later where there is no fallback. What an endpoint's health
  /// remembers is not asked for again. All within `deadline`.
  net::Task<Result<Response>> send(Query query, Deadline deadline);

  /// A whole answer.
  struct Whole {
    net::Url url;  // that gave it
    net::ResponseInfo info;
    std::string body;
  };
  /// What is wrong with an answer, if anything. Runs on the pool.
  using Check = std::function<Result<void>(const net::ResponseInfo& info, const std::string& body)>;

  /// The same with the whole body, of up to `limit`: what breaks off at a mirror, or what `check` refuses, is
  /// asked for at the next place as well; what breaks off at the last one is tried again like a request.
  net::Task<Result<Whole>> fetch(Query query, Bytes limit, Check check, Deadline deadline);

  /// An answer's body broke off: a mirror that does this is passed over for a while.
  static void note_break(const Endpoint& from, const Error& error);

 private:
  using Target = EndpointClient::Target;

  net::Task<Result<Response>> ask_own(Query query, Deadline deadline);
  net::Task<Result<Response>> ask_mirror(Target mirror, Query query, Deadline deadline);
  bool must_pass_over(const Target& mirror);
  net::Task<void> probe(Target mirror);
  class SlowAnswer;

  net::Loop& loop_;
  EndpointClient endpoints_;
  net::TaskGroup probes_;  // last: they use the client
};

}  // namespace layover::upstream
