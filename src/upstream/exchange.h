// One request to an upstream and its answer: connection, request head, answer head, body. Redirects and
// authentication are the client's, above.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/deadline.h"
#include "base/error.h"
#include "cache/prefetch.h"
#include "metrics/metrics.h"
#include "net/client_connection.h"
#include "net/task.h"
#include "upstream/endpoint.h"
#include "upstream/pool.h"

namespace layover::upstream {

struct RequestSpec {
  bool is_head = false;
  net::Url url;
  DestinationPolicy::Purpose purpose = DestinationPolicy::Purpose::kRegistry;
  metrics::Kind kind = metrics::Kind::kOther;
  std::vector<std::string> accept;
  std::string authorization;                    // empty: none
  std::string range;                            // the Range header's value; empty: none
  std::string if_none_match;                    // the If-None-Match header's value; empty: none
  std::string cdn_loop;                         // RFC 8586; empty: none
  std::shared_ptr<cache::Prefetch> prefetch{};  // see Query
};

/// An answer whose head has come. Owned by one task; must not outlive the pool it came from.
class Response {
 public:
  Response(ConnectionPool& pool, Lease lease, net::ResponseInfo info, const RequestSpec& spec,
           std::shared_ptr<const Endpoint> endpoint, metrics::Metrics& metrics,
           Deadline::Clock::time_point started);
  Response(Response&&) noexcept = default;
  Response& operator=(Response&&) = delete;
  /// Gives the connection back if the body was read to its end.
  ~Response();

  const net::ResponseInfo& info() const { return info_; }
  /// Where the answer came from, after redirects.
  const net::Url& url() const { return url_; }
  /// Who was asked for it.
  const std::shared_ptr<const Endpoint>& endpoint() const { return endpoint_; }
  /// At least one byte, or 0 at the body's end; a byte must come within the endpoint's idle_timeout and
  /// `deadline`.
  net::Task<Result<std::size_t>> read(std::span<std::byte> into, Deadline deadline = Deadline::never());
  /// Whether read() has something to give by `deadline`.
  net::Task<bool> has_more_by(Deadline deadline) { return lease_->connection().has_body_by(deadline); }
  /// The rest of the body by `deadline`, at most `limit` bytes: kTooLarge where there is more. No byte may
  /// take more than half of the time that is left.
  net::Task<Result<std::string>> read_all(Bytes limit, Deadline deadline);
  /// Lets go of the connection: reads a small rest of the body away, so that it can be used again; what is
  /// large or slow is left, and the connection closed. Only info() and url() are of use then.
  net::Task<void> discard_rest(Deadline deadline);

 private:
  void note_read(const Result<std::size_t>& n);
  void note_end();
  void let_go();

  ConnectionPool* pool_;
  std::optional<Lease> lease_;
  net::ResponseInfo info_;
  net::Url url_;
  std::shared_ptr<const Endpoint> endpoint_;
  metrics::Metrics* metrics_;
  metrics::Kind kind_;
  Deadline::Clock::time_point started_;
  bool has_ended_ = false;  // its duration has been counted
};

/// Sends the request, once more on a fresh connection where a pooled one turned out to be closed. Counts
/// the request, or the error, in the metrics. The head must come within response_timeout and `deadline`.
net::Task<Result<Response>> exchange(ConnectionPool& pool, std::shared_ptr<const Endpoint> endpoint,
                                     metrics::Metrics& metrics, RequestSpec spec, Deadline deadline);

}  // namespace layover::upstream
