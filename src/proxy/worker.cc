// A worker's thread, and the life of a client's connection on it.
#include "proxy/worker.h"

#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/random.h"
#include "net/offload.h"
#include "net/response_head.h"
#include "net/task_group.h"
#include "net/wait.h"
#include "proxy/error_answer.h"
#include "proxy/exchange.h"
#include "proxy/prefetch.h"
#include "upstream/client.h"

namespace layover::proxy {

namespace {

/// Of one loop; what fewer leave behind is too little to look for.
constexpr std::size_t kManyConnections = 1000;
/// Connections that end together do so within this.
constexpr std::chrono::seconds kRestOfTheBurst{1};

/// Adds one for as long as it lives.
class Counted {
 public:
  explicit Counted(std::atomic<std::size_t>& count) : count_(count) {
    count_.fetch_add(1, std::memory_order_relaxed);
  }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  ~Counted() { count_.fetch_sub(1, std::memory_order_relaxed); }

 private:
  std::atomic<std::size_t>& count_;
};

class CountedConnection {
 public:
  CountedConnection(std::atomic<std::size_t>& count, metrics::Gauge gauge) : count_(count), gauge_(gauge) {
    gauge_.add();
  }
  CountedConnection(const CountedConnection&) = delete;
  CountedConnection& operator=(const CountedConnection&) = delete;
  ~CountedConnection() {
    gauge_.sub();
    count_.fetch_sub(1, std::memory_order_relaxed);  // adopt() added it
  }

 private:
  std::atomic<std::size_t>& count_;
  metrics::Gauge gauge_;
};

/// The same object with a count of owners of its own: requests of different loops would else pass one cache
/// line to and fro.
std::shared_ptr<const Configuration> counted_alone(std::shared_ptr<const Configuration> shared) {
  const Configuration* configuration = shared.get();
  return {std::make_shared<std::shared_ptr<const Configuration>>(std::move(shared)), configuration};
}

net::ServerLimits server_limits(const config::Limits& limits) {
  return {.header_timeout = limits.header_timeout,
          .send_timeout = limits.send_timeout,
          .keep_alive = limits.keep_alive,
          .max_header_bytes = limits.max_header_bytes};
}

/// For a connection that is refused: few of them are told so at a time.
net::ServerLimits in_a_hurry(net::ServerLimits limits) {
  constexpr std::chrono::milliseconds kPatience{2000};
  limits.header_timeout = std::min(limits.header_timeout, kPatience);
  limits.send_timeout = std::min(limits.send_timeout, kPatience);
  return limits;
}

}  // namespace

/// In the order of dependence: connections and the background use the cache, its fills use the client.
struct Worker::OnLoop {
  upstream::Client client;
  cache::LoopCache cache;
  Prefetcher prefetcher;
  net::TaskGroup background;
  WorkerContext context;
  net::TaskGroup connections;
  std::vector<std::unique_ptr<net::Acceptor>> acceptors;

  OnLoop(Worker& worker, net::Loop& loop)
      : client(loop, worker.tokens_, worker.shared_.metrics),
        cache(worker.cache_, loop),
        prefetcher(loop, worker.shared_.pulls, client, cache),
        background(loop),
        context{.shared = worker.shared_,
                .configuration = counted_alone(std::move(worker.first_configuration_)),
                .loop = loop,
                .client = client,
                .cache = cache,
                .prefetcher = prefetcher,
                .background = background},
        connections(loop) {}
};

Worker::Worker(unsigned index, Shared& shared, std::shared_ptr<const Configuration> configuration,
               cache::Cache& cache, upstream::TokenTable& tokens)
    : index_(index),
      shared_(shared),
      first_configuration_(std::move(configuration)),
      cache_(cache),
      tokens_(tokens),
      loop_(std::make_unique<net::Loop>(index)),
      mailbox_(loop_->mailbox()) {}

Worker::~Worker() = default;

void Worker::start() {
  thread_ = std::thread([this] { run(); });
}

void Worker::run() {
  metrics::set_cell_index(index_);
  {
    OnLoop on_loop(*this, *loop_);
    on_loop_ = &on_loop;
    on_loop.client.start();
    loop_->run();
    on_loop_ = nullptr;
  }
  loop_.reset();
}

void Worker::stop() {
  if (thread_.joinable()) loop_->stop();
}

void Worker::join() {
  if (thread_.joinable()) thread_.join();
}

void Worker::start_housekeeping() {
  mailbox()->post([this] {
    if (on_loop_ == nullptr) return;  // stopping
    on_loop_->cache.start_eviction();
    on_loop_->cache.start_sweep();
    on_loop_->cache.start_scrub();
    on_loop_->cache.start_index_upkeep();
  });
}

void Worker::reconfigure(std::shared_ptr<const Configuration> configuration) {
  mailbox()->post([this, configuration = std::move(configuration)]() mutable {
    if (on_loop_ == nullptr) return;  // stopping
    on_loop_->context.configuration = counted_alone(std::move(configuration));
  });
}

void Worker::listen(UniqueFd listening, net::Acceptor::Handler hand_out) {
  mailbox()->post([this, fd = std::move(listening), hand_out = std::move(hand_out)]() mutable {
    on_loop_->acceptors.push_back(
        std::make_unique<net::Acceptor>(*loop_, std::move(fd), std::move(hand_out)));
  });
}

void Worker::stop_listening() {
  mailbox()->post([this] {
    if (on_loop_ != nullptr) on_loop_->acceptors.clear();
  });
}

void Worker::adopt(Arrival arrival) {
  connections_.fetch_add(1, std::memory_order_relaxed);
  mailbox()->post([this, arrival = std::move(arrival)]() mutable {
    if (on_loop_ == nullptr) return;  // stopping
    on_loop_->connections.spawn(serve(std::move(arrival)));
  });
}

net::Task<void> Worker::serve(Arrival arrival) {
  const CountedConnection counted(connections_, shared_.metrics.connections(metrics::Side::kClient));
  most_connections_ = std::max(most_connections_, connections());
  const bool is_refused = arrival.share.verdict() != ClientLimits::Verdict::kServe;
  const net::ServerLimits limits = server_limits(on_loop_->context.configuration->settings->limits);
  net::ServerConnection connection(
      net::Connection(net::Socket(*loop_, std::move(arrival.fd)), ErrorSource::kClient),
      is_refused ? in_a_hurry(limits) : limits, arrival.client);
  do {
    auto request = co_await connection.read_request();
    if (!request) {
      co_await answer_fault(connection, request.error(), !arrival.is_admin);
      break;
    }
    if (*request == nullptr) break;
    co_await answer(connection, arrival.handler, **request);
  } while (connection.can_reuse());
  co_await connection.close_orderly();
  note_connection_end();
}

void Worker::note_connection_end() {
  const std::size_t others = connections() - 1;
  if (most_connections_ < kManyConnections || others > most_connections_ / 4) return;
  most_connections_ = 0;
  on_loop_->background.spawn(give_back_memory());
}

// What many connections held lies among what is still used, where the allocator keeps it until it is told.
net::Task<void> Worker::give_back_memory() {
  co_await net::sleep_until(Deadline::after(kRestOfTheBurst));
  most_connections_ = std::max(most_connections_, connections());
  co_await net::offload(net::Work::kCompute, [] { return ::malloc_trim(0); });
}

net::Task<void> Worker::answer(net::ServerConnection& connection, const RequestHandler& handler,
                               const net::HttpRequest& request) {
  const Counted counted(requests_);
  try {
    co_await handler(on_loop_->context, connection, request);
  } catch (const std::exception& bug) {
    // A bug, but one client's: the others go on.
    log_error("a request failed in a way that is a bug, please report it: {}", bug.what());
    connection.end_after_this();
  }
}

// All that is known of such a request is who sent it: even its first line may be a piece of something else.
net::Task<void> Worker::answer_fault(net::ServerConnection& connection, const net::RequestFault& fault,
                                     bool is_counted) {
  const std::string request_id = Random::system().next_hex();
  const ErrorAnswer answer = make_answer(fault.status, oci::SpecErrorCode::kUnsupported, fault.message);
  net::ResponseHead head(fault.status);
  head.add("X-Request-Id", request_id)
      .add("Content-Type", answer.content_type)
      .add("Content-Length", answer.body.size())
      .add("Connection", "close");
  const std::string text = std::move(head).finish();
  auto sent = co_await connection.send(text, answer.body);
  if (!is_counted) co_return;
  metrics::RequestRecord record;
  record.code = fault.status;
  record.sent = Bytes{sent ? answer.body.size() : 0};
  record.duration = Deadline::Clock::now() - connection.request_began();
  if (sent) record.time_to_first_byte = record.duration;
  shared_.metrics.count_request(record);
  auto* log = request_log_of(shared_, *on_loop_->context.configuration);
  if (log == nullptr) co_return;
  const std::string client = client_name(connection);
  log->write({.record = record,
              .client = client,
              .ending = sent ? metrics::Ending::kComplete : metrics::Ending::kClientLeft,
              .request_id = request_id});
}

}  // namespace layover::proxy
