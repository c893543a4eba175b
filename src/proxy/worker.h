// One loop with everything that lives on it: its connections, its end of the cache, its upstream client.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <thread>

#include "base/unique_fd.h"
#include "cache/cache.h"
#include "net/acceptor.h"
#include "net/ip_address.h"
#include "net/loop.h"
#include "net/server_connection.h"
#include "proxy/client_limits.h"
#include "proxy/worker_context.h"
#include "upstream/tokens.h"

namespace layover::proxy {

/// Answers one request; the references outlive the task that it returns.
using RequestHandler =
    std::function<net::Task<void>(WorkerContext&, net::ServerConnection&, const net::HttpRequest&)>;

/// A connection that has been accepted, on its way to the worker that serves it.
struct Arrival {
  UniqueFd fd;
  std::optional<net::IpAddress> client;  // nothing where it has no address
  const RequestHandler& handler;         // outlives the worker
  ClientLimits::Share share;
  bool is_admin = false;  // what cannot be read there is no client's request
};

/// Thread-safe but for start and stop, which the thread that owns it calls.
class Worker {
 public:
  /// `cache` and `tokens` are shared by all workers and outlive them.
  Worker(unsigned index, Shared& shared, std::shared_ptr<const Configuration> configuration,
         cache::Cache& cache, upstream::TokenTable& tokens);
  ~Worker();

  void start();
  /// Ends the loop and cancels what is left on it; `join` waits for its thread. All workers are told before
  /// the first is joined, since they share the offload pool.
  void stop();
  void join();
  /// Starts the cache's background work on this loop: eviction and the sweep.
  void start_housekeeping();

  /// For requests that begin, and connections that are accepted, once the loop has come to it.
  void reconfigure(std::shared_ptr<const Configuration> configuration);
  const std::shared_ptr<net::Mailbox>& mailbox() const { return mailbox_; }
  /// Accepts connections at the listening descriptor, on this loop, and gives each to `hand_out`.
  void listen(UniqueFd listening, net::Acceptor::Handler hand_out);
  /// Closes all listening descriptors.
  void stop_listening();
  void adopt(Arrival arrival);

  std::size_t connections() const { return connections_.load(std::memory_order_relaxed); }
  /// Requests being answered.
  std::size_t requests() const { return requests_.load(std::memory_order_relaxed); }

 private:
  /// What lives and dies on the loop's thread.
  struct OnLoop;

  void run();
  net::Task<void> serve(Arrival arrival);
  void note_connection_end();
  net::Task<void> give_back_memory();
  net::Task<void> answer(net::ServerConnection& connection, const RequestHandler& handler,
                         const net::HttpRequest& request);
  net::Task<void> answer_fault(net::ServerConnection& connection, const net::RequestFault& fault,
                               bool is_counted);

  const unsigned index_;
  Shared& shared_;
  std::shared_ptr<const Configuration> first_configuration_;  // until the loop runs
  cache::Cache& cache_;
  upstream::TokenTable& tokens_;
  std::unique_ptr<net::Loop> loop_;              // ends on its own thread
  const std::shared_ptr<net::Mailbox> mailbox_;  // outlives it, and then refuses messages
  OnLoop* on_loop_ = nullptr;                    // the loop's thread only
  std::atomic<std::size_t> connections_{0};
  std::atomic<std::size_t> requests_{0};
  std::size_t most_connections_ = 0;  // since memory was last given back; the loop's thread only
  std::thread thread_;
};

}  // namespace layover::proxy
