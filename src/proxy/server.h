// The running layover: cache, registries, workers and listeners, from start to graceful stop.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file_system.h"
#include "base/log_pause.h"
#include "cache/cache.h"
#include "config/settings.h"
#include "metrics/metrics.h"
#include "metrics/request_log.h"
#include "proxy/admin_service.h"
#include "proxy/client_limits.h"
#include "proxy/worker.h"
#include "upstream/tokens.h"

namespace layover::proxy {

struct ServerOptions {
  std::shared_ptr<const config::Settings> settings;
  FileSystem& files;
  const Clock& clock;
  std::string version;
  std::string revision;
  metrics::RequestLog* request_log = nullptr;  // outlives the server; null: requests are not logged
};

/// Used by one thread, which is none of its loops.
class Server {
 public:
  /// Opens the cache and binds every address, then starts the loops: from the return on it serves. Errors
  /// are for the person who started it. Blocks.
  static Result<std::unique_ptr<Server>> start(ServerOptions options);
  /// Stops at once what stop() has not.
  ~Server();

  /// The addresses bound, with the real ports where 0 was asked for.
  const std::vector<std::string>& addresses() const { return addresses_; }
  const std::string& admin_address() const { return admin_address_; }

  /// Goes by other settings from now on, for requests that begin after this: all but what is fixed (see
  /// config/reload.h, which has to be obeyed before). On an error all goes on as before. Blocks for some ms.
  Result<void> reload(std::shared_ptr<const config::Settings> settings);

  /// Graceful: not ready any more, accepts for shutdown.delay, then finishes transfers for up to
  /// shutdown.grace. `should_hurry` is asked all the time; true ends the waiting. Returns true where
  /// everything was finished.
  bool stop(const std::function<bool()>& should_hurry);

 private:
  struct Endpoint {
    UniqueFd fd;
    RequestHandler handler;
  };

  explicit Server(ServerOptions options);
  Result<void> open();
  Result<void> open_cache();
  Result<UniqueFd> bind(const config::Endpoint& endpoint, std::string& address);
  void start_loops();
  void listen(std::size_t endpoint);
  /// On the loop that accepts.
  void admit(UniqueFd fd, const std::optional<net::IpAddress>& client, const RequestHandler& handler);
  void log_refusal(ClientLimits::Verdict verdict);
  Worker& least_busy();
  bool wait_until(Deadline deadline, const std::function<bool()>& is_done,
                  const std::function<bool()>& should_hurry);
  bool is_idle() const;

  ServerOptions options_;
  metrics::Metrics metrics_;
  std::shared_ptr<const Configuration> configuration_;
  std::unique_ptr<cache::Cache> cache_;
  upstream::TokenTable tokens_;
  std::unique_ptr<Shared> shared_;
  AdminService admin_;
  ClientLimits client_limits_;
  LogPause refusals_;  // the accepting loop's
  const RequestHandler refuse_too_many_;
  const RequestHandler refuse_too_many_of_client_;
  std::vector<Endpoint> endpoints_;  // the last is the admin listener's
  std::vector<std::string> addresses_;
  std::string admin_address_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace layover::proxy
