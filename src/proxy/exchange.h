// One request of a client and its answer: what handlers use to reply. Keeps the record that becomes the
// metrics and the line of the request log.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/deadline.h"
#include "base/error.h"
#include "metrics/metrics.h"
#include "metrics/request_log.h"
#include "net/response_head.h"
#include "net/server_connection.h"
#include "proxy/answer_memory.h"
#include "proxy/error_answer.h"
#include "proxy/route.h"
#include "proxy/worker_context.h"
#include "upstream/registry.h"

namespace layover::proxy {

/// The client's IP address for logs; empty where it has none.
std::string client_name(const net::ServerConnection& connection);

/// Owned by the task that serves the request; lives on its loop. One answer per exchange.
class Exchange {
 public:
  Exchange(WorkerContext& context, net::ServerConnection& connection, const net::HttpRequest& request);
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;
  /// Counts and logs the request.
  ~Exchange();

  WorkerContext& context() { return context_; }
  /// What this request goes by from its start to its end.
  const Configuration& configuration() const { return *configuration_; }
  const net::HttpRequest& request() const { return request_; }
  bool is_head() const { return request_.is_head(); }
  /// Nothing where it has no IP address.
  const std::optional<net::IpAddress>& client() const { return connection_.client(); }
  /// When the request had been read.
  Deadline::Clock::time_point started() const { return started_; }

  /// What the request turned out to be about; the registry and the repository are those that are meant.
  void set_route(Route route);
  /// Nothing where the request has none.
  const std::optional<Route>& route() const { return route_; }
  void set_registry(std::shared_ptr<const upstream::Registry> registry);
  /// Upstream is asked something on behalf of this request.
  void note_upstream_asked() { is_upstream_asked_ = true; }
  /// Answers carry the registry's name where the client named it by ns.
  void set_namespace(std::string registry) { namespace_ = std::move(registry); }

  /// An answer's head with what every answer has.
  net::ResponseHead begin(int status);
  /// The same with X-Cache, and a Warning where it is stale; what is served from here counts as saved.
  net::ResponseHead begin(int status, metrics::CacheResult how);

  /// The answer takes so much memory until this exchange ends: kOverloaded where those of all clients take
  /// too much already. Once.
  Result<void> hold_in_memory(Bytes size);
  /// Sends a whole answer: for HEAD, the head with the body's length alone. `body` outlives the task.
  net::Task<void> send(net::ResponseHead head, std::string_view body);
  /// Sends a head whose body, if there is one, follows by send_file or send_text; with `more`, it follows at
  /// once and they share a packet. False where the client has gone.
  net::Task<bool> send_head(net::ResponseHead head, bool more);
  net::Task<Result<void>> send_file(int fd, ByteRange range);
  /// Bytes of the body that have been fetched for this request alone.
  net::Task<Result<void>> send_fetched(std::span<const std::byte> bytes);
  net::Task<Result<void>> send_text(std::string_view text, bool more = false);
  net::Task<void> fail(const Error& error);
  net::Task<void> fail(ErrorAnswer answer);
  /// Whoever asked for this body may stop reading when it has enough: that is no abort.
  void expect_early_end() { is_early_end_expected_ = true; }
  /// After the head: the body cannot be completed, or the client has gone. The connection ends short of
  /// the announced length, in an orderly way.
  void break_off(const Error& error);
  /// The handler has done all it wanted. An exchange that ends without this was cut off.
  void finish();

 private:
  net::Task<void> send_error(ErrorAnswer answer);
  void note_first_byte();
  void log_request(metrics::RequestLog& log);

  WorkerContext& context_;
  const std::shared_ptr<const Configuration> configuration_;
  net::ServerConnection& connection_;
  const net::HttpRequest& request_;
  const Deadline::Clock::time_point started_;
  const std::string request_id_;
  std::string namespace_;
  std::shared_ptr<const upstream::Registry> registry_;  // null until it is known
  std::optional<Route> route_;
  metrics::RequestRecord record_;
  std::optional<AnswerMemory::Share> held_;
  bool is_upstream_asked_ = false;
  bool is_early_end_expected_ = false;
  std::optional<metrics::Ending> ending_;
  std::uint64_t sent_ = 0;
  std::uint64_t fetched_ = 0;  // the part of it that counts as not saved
};

}  // namespace layover::proxy
