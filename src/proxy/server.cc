// Start-up in the order of what can fail, and shutdown in the reverse of dependence.
#include "proxy/server.h"

#include <algorithm>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "base/random.h"
#include "net/acceptor.h"
#include "proxy/descriptors.h"
#include "proxy/registry_service.h"

namespace layover::proxy {

namespace {

constexpr std::chrono::milliseconds kPoll{20};

metrics::MetricsOptions metrics_options(const ServerOptions& options) {
  metrics::MetricsOptions result{.registries = {},
                                 .loops = options.settings->threads,
                                 .version = options.version,
                                 .revision = options.revision};
  for (const auto& [name, registry] : options.settings->registries) result.registries.push_back(name.str());
  return result;
}

/// What the settings come to on the cache's file system: that of the nearest folder that is there already.
Result<cache::SpaceLimits> limits_of(FileSystem& files, const config::Cache& cache) {
  std::string folder = cache.path;
  auto space = files.space(folder);
  while (!space && folder != "/" && folder != ".") {
    const auto slash = folder.rfind('/');
    folder = slash == std::string::npos ? "." : folder.substr(0, std::max<std::size_t>(slash, 1));
    space = files.space(folder);
  }
  if (!space) {
    return std::unexpected(
        space.error().within(fmt::format("the size of the disk for the cache in {} is unknown", cache.path)));
  }
  const Bytes max_size = cache.max_size.of(space->total);
  return cache::SpaceLimits{.max_size = max_size,
                            .min_free = cache.min_free_of(space->total),
                            .max_object = cache.max_object.of(max_size)};
}

ClientLimits::Bounds bounds_of(const config::Limits& limits, unsigned loops) {
  const std::size_t descriptors = descriptor_limit();
  const std::size_t enough_for = connections_for(descriptors, loops);
  if (limits.max_connections > descriptors) {
    log_warning(
        "limits.max_connections is {}, but there may be {} descriptors, enough for some {}: raise their "
        "limit "
        "(LimitNOFILE, ulimit -n)",
        limits.max_connections, descriptors, enough_for);
  }
  return {.total = limits.max_connections == 0 ? enough_for : limits.max_connections,
          .per_client = limits.max_connections_per_client};
}

/// Answers whatever is asked with 503.
RequestHandler refusal(std::string_view why) {
  return [why](WorkerContext& context, net::ServerConnection& connection, const net::HttpRequest& request) {
    return refuse_connection(context, connection, request, why);
  };
}

}  // namespace

Server::Server(ServerOptions options)
    : options_(std::move(options)),
      metrics_(metrics_options(options_)),
      admin_(metrics_),
      client_limits_(bounds_of(options_.settings->limits, options_.settings->threads)),
      refuse_too_many_(refusal("layover has as many connections as it may")),
      refuse_too_many_of_client_(refusal("this client has as many connections as it may")) {}

Result<std::unique_ptr<Server>> Server::start(ServerOptions options) {
  std::unique_ptr<Server> server(new Server(std::move(options)));
  if (auto opened = server->open(); !opened) return std::unexpected(opened.error());
  server->start_loops();
  server->workers_.back()->start_housekeeping();
  return server;
}

Result<void> Server::open() {
  const config::Settings& settings = *options_.settings;
  auto registries = upstream::Registries::make(options_.settings, metrics_);
  if (!registries) return std::unexpected(registries.error());
  configuration_ = std::make_shared<const Configuration>(options_.settings, std::move(*registries));
  shared_ =
      std::make_unique<Shared>(metrics_, options_.request_log, "layover-" + Random::system().next_hex());

  for (std::size_t i = 0; i < settings.listen.size(); ++i) {
    std::string address;
    auto fd = bind(settings.listen[i].address, address);
    if (!fd) return std::unexpected(fd.error());
    addresses_.push_back(std::move(address));
    endpoints_.push_back({.fd = std::move(*fd),
                          .handler = [i](WorkerContext& context, net::ServerConnection& connection,
                                         const net::HttpRequest& request) {
                            return serve_registry_request(context, i, connection, request);
                          }});
  }
  auto admin = bind(settings.admin.listen, admin_address_);
  if (!admin) return std::unexpected(admin.error());
  endpoints_.push_back(
      {.fd = std::move(*admin),
       .handler = [this](WorkerContext&, net::ServerConnection& connection, const net::HttpRequest& request) {
         return admin_.serve(connection, request);
       }});
  return open_cache();
}

Result<void> Server::open_cache() {
  const config::Settings& settings = *options_.settings;
  auto space = limits_of(options_.files, settings.cache);
  if (!space) return std::unexpected(space.error());
  auto cache = cache::Cache::open(options_.files, options_.clock, metrics_,
                                  {.path = settings.cache.path,
                                   .loops = settings.threads,
                                   .complete_abandoned = settings.cache.complete_abandoned,
                                   .space = *space});
  if (!cache) return std::unexpected(cache.error());
  cache_ = std::move(*cache);
  cache_->set_scrub_rate(settings.cache.scrub_rate);
  metrics_.read_cache_figures_with([this] {
    const cache::Totals totals = cache_->index().totals();
    return metrics::CacheFigures{.stored = Bytes{totals.bytes},
                                 .manifests = totals.manifests,
                                 .blobs = totals.blobs,
                                 .index = cache_->index().used(),
                                 .limit = cache_->budget().limits().max_size};
  });
  return {};
}

Result<void> Server::reload(std::shared_ptr<const config::Settings> settings) {
  auto space = limits_of(options_.files, settings->cache);
  if (!space) return std::unexpected(space.error());
  for (const auto& [name, registry] : settings->registries) {
    if (metrics_.add_registry(name.str())) continue;
    log_warning(
        "too many registries have been added for metrics of each: {} counts as \"other\" until the next "
        "start",
        name.str());
  }
  auto registries = upstream::Registries::make(settings, metrics_, &configuration_->registries);
  if (!registries) return std::unexpected(registries.error());
  configuration_ = std::make_shared<const Configuration>(std::move(settings), std::move(*registries));
  cache_->budget().set_limits(*space);
  client_limits_.set(bounds_of(configuration_->settings->limits, configuration_->settings->threads));
  cache_->set_complete_abandoned(configuration_->settings->cache.complete_abandoned);
  cache_->set_scrub_rate(configuration_->settings->cache.scrub_rate);
  for (const auto& worker : workers_) worker->reconfigure(configuration_);
  return {};
}

Result<UniqueFd> Server::bind(const config::Endpoint& endpoint, std::string& address) {
  const auto addresses = net::numeric_address(endpoint.host, endpoint.port);
  if (addresses.empty()) {
    return failure(ErrorCode::kInvalid, ErrorSource::kSelf,
                   fmt::format("{} is no address", config::to_string(endpoint)));
  }
  auto fd = net::listen_on(addresses.front());
  if (fd) address = net::local_address(fd->get()).to_string();
  return fd;
}

void Server::start_loops() {
  std::vector<std::shared_ptr<net::Mailbox>> mailboxes;
  for (unsigned i = 0; i < options_.settings->threads; ++i) {
    workers_.push_back(std::make_unique<Worker>(i, *shared_, configuration_, *cache_, tokens_));
    mailboxes.push_back(workers_.back()->mailbox());
  }
  admin_.watch(std::move(mailboxes));
  for (const auto& worker : workers_) worker->start();
  for (std::size_t i = 0; i < endpoints_.size(); ++i) listen(i);
  admin_.set_ready(true);
}

// Probes must be answered by a loop that accepts anyway, and are not counted: whoever looks after layover
// gets in when clients do not. Registry connections are spread over all loops.
void Server::listen(std::size_t endpoint) {
  Endpoint& listening = endpoints_[endpoint];
  const bool is_admin = endpoint + 1 == endpoints_.size();
  workers_.front()->listen(std::move(listening.fd),
                           [this, &listening, is_admin](UniqueFd accepted, net::SocketAddress peer) {
                             const auto client = net::IpAddress::from_sockaddr(*peer.get());
                             if (!is_admin) return admit(std::move(accepted), client, listening.handler);
                             least_busy().adopt({.fd = std::move(accepted),
                                                 .client = client,
                                                 .handler = listening.handler,
                                                 .share = {},
                                                 .is_admin = true});
                           });
}

void Server::admit(UniqueFd fd, const std::optional<net::IpAddress>& client, const RequestHandler& handler) {
  using enum ClientLimits::Verdict;
  ClientLimits::Share share = client_limits_.admit(client);
  const auto verdict = share.verdict();
  if (verdict != kServe) log_refusal(verdict);
  if (verdict == kDrop) return;
  const RequestHandler& answering = verdict == kServe     ? handler
                                    : verdict == kTooMany ? refuse_too_many_
                                                          : refuse_too_many_of_client_;
  least_busy().adopt(
      {.fd = std::move(fd), .client = client, .handler = answering, .share = std::move(share)});
}

void Server::log_refusal(ClientLimits::Verdict verdict) {
  const auto times = refusals_.count();
  if (!times) return;
  const bool is_of_client = verdict == ClientLimits::Verdict::kTooManyOfClient;
  log_warning("connections are refused, {} since the last such line, while there are {}: {}", *times,
              client_limits_.connections(),
              is_of_client ? "a client has as many as it may (limits.max_connections_per_client)"
                           : "there are as many as there may be (limits.max_connections, or descriptors)");
}

Worker& Server::least_busy() {
  return **std::ranges::min_element(workers_, {}, [](const auto& worker) { return worker->connections(); });
}

bool Server::is_idle() const {
  return metrics_.fills_active().value() == 0 &&
         std::ranges::all_of(workers_, [](const auto& worker) { return worker->requests() == 0; });
}

bool Server::wait_until(Deadline deadline, const std::function<bool()>& is_done,
                        const std::function<bool()>& should_hurry) {
  while (!is_done()) {
    if (should_hurry() || deadline.has_passed()) return false;
    std::this_thread::sleep_for(kPoll);
  }
  return true;
}

bool Server::stop(const std::function<bool()>& should_hurry) {
  const config::Shutdown& shutdown = configuration_->settings->shutdown;
  admin_.set_ready(false);
  shared_->is_stopping.store(true, std::memory_order_relaxed);
  wait_until(Deadline::after(shutdown.delay), [] { return false; }, should_hurry);
  workers_.front()->stop_listening();
  return wait_until(Deadline::after(shutdown.grace), [this] { return is_idle(); }, should_hurry);
}

Server::~Server() {
  // Before the cache goes; a scrape that is under way is waited for.
  metrics_.read_cache_figures_with({});
  for (const auto& worker : workers_) worker->stop();
  for (const auto& worker : workers_) worker->join();
  workers_.clear();
}

}  // namespace layover::proxy
