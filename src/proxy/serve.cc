// Settings, logs, server, then signals until one of them means the end.
#include "proxy/serve.h"

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <string>
#include <utility>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/log.h"
#include "config/reload.h"
#include "metrics/request_log.h"
#include "net/offload.h"
#include "proxy/descriptors.h"
#include "proxy/effective_settings.h"
#include "proxy/server.h"
#include "proxy/service_manager.h"

namespace layover::proxy {

namespace {

sigset_t handled_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  return signals;
}

void warn_of(const Result<void>& told) {
  if (!told) log_warning("the service manager does not hear: {}", told.error().describe());
}

void greet(const Server& server, const config::Settings& settings) {
  if (settings.log.format == LogFormat::kJson) {  // all that is on standard output is JSON then
    for (const std::string& address : server.addresses()) log_info("layover serves on http://{}", address);
    log_info("cache: {}; metrics: http://{}/metrics", settings.cache.path, server.admin_address());
    return;
  }
  for (const std::string& address : server.addresses()) fmt::print("layover serves on http://{}\n", address);
  std::string address = server.addresses().front();
  // What is bound to every address is reached at this machine's name.
  for (const std::string_view any : {"0.0.0.0:", "[::]:"}) {
    if (address.starts_with(any)) address = "<this-host>:" + address.substr(any.size());
  }
  fmt::print("  cache:    {}\n  metrics:  http://{}/metrics\n", settings.cache.path, server.admin_address());
  fmt::print(
      "  try:      skopeo copy --src-tls-verify=false docker://{}/docker.io/library/alpine:3 "
      "dir:/tmp/alpine\n",
      address);
  fmt::print(
      "  containerd, in /etc/containerd/certs.d/docker.io/hosts.toml:\n"
      "    server = \"https://registry-1.docker.io\"\n"
      "    [host.\"http://{}\"]\n"
      "      capabilities = [\"pull\", \"resolve\"]\n",
      address);
  std::fflush(stdout);
}

/// True once a second signal has come.
bool has_second_signal(const sigset_t& signals) {
  const timespec at_once{};
  const int signal = sigtimedwait(&signals, nullptr, &at_once);
  return signal == SIGTERM || signal == SIGINT;
}

/// A server with what its operator may change while it runs.
class Service {
 public:
  Service(const CommandLine& line, const config::Environment& environment,
          std::shared_ptr<const config::Settings> settings)
      : line_(line),
        environment_(environment),
        settings_(std::move(settings)),
        request_log_(STDOUT_FILENO, settings_->log.format, Clock::system()) {}

  Result<void> start(const Build& build) {
    auto server = Server::start({.settings = settings_,
                                 .files = FileSystem::system(),
                                 .clock = Clock::system(),
                                 .version = build.version,
                                 .revision = build.revision,
                                 .request_log = &request_log_});
    if (!server) return std::unexpected(server.error());
    server_ = std::move(*server);
    greet(*server_, *settings_);
    warn_of(manager_.tell_ready());
    return {};
  }

  /// Until a signal that ends the program; then false where a second one came meanwhile.
  bool run(const sigset_t& signals) {
    for (;;) {
      int signal = 0;
      if (sigwait(&signals, &signal) != 0) continue;
      if (signal != SIGHUP) break;
      warn_of(manager_.tell_reloading());
      reload();
      warn_of(manager_.tell_ready());
    }
    warn_of(manager_.tell_stopping());
    log_info("stopping: transfers may take up to {} more; a second signal ends them at once",
             std::chrono::ceil<std::chrono::seconds>(settings_->shutdown.delay + settings_->shutdown.grace));
    bool is_hurried = false;
    const bool is_finished =
        server_->stop([&] { return is_hurried = is_hurried || has_second_signal(signals); });
    if (is_hurried) return false;
    if (!is_finished) log_warning("some transfers were cut off");
    return true;
  }

 private:
  void reload() {
    auto loaded = effective_settings(line_, environment_);
    if (!loaded) {
      for (const config::Problem& problem : loaded.error()) log_error("{}", config::to_string(problem));
      keep("the configuration has the problems above");
      return;
    }
    const auto waiting = config::keep_what_is_fixed(*settings_, *loaded);
    if (!waiting) {
      keep(waiting.error());
      return;
    }
    auto next = std::make_shared<const config::Settings>(std::move(*loaded));
    if (const auto reloaded = server_->reload(next); !reloaded) {
      keep(reloaded.error().describe());
      return;
    }
    settings_ = std::move(next);
    set_log_level(settings_->log.level);
    set_log_format(settings_->log.format);
    request_log_.set_format(settings_->log.format);
    log_info("SIGHUP: the configuration has been reloaded");
    if (!waiting->empty()) {
      log_warning("of the changed configuration these wait for the next start: {}",
                  fmt::join(*waiting, ", "));
    }
  }

  static void keep(std::string_view why) {
    log_error("SIGHUP: nothing has been reloaded, layover goes on with the settings it has: {}", why);
  }

  const CommandLine& line_;
  const config::Environment& environment_;
  const ServiceManager manager_ = ServiceManager::of_process();
  std::shared_ptr<const config::Settings> settings_;
  metrics::RequestLog request_log_;
  std::unique_ptr<Server> server_;  // last: it writes to the log until its end
};

}  // namespace

int serve(const CommandLine& line, const config::Environment& environment, const Build& build) {
  auto loaded = effective_settings(line, environment);
  if (!loaded) {
    fmt::print(stderr, "{}\n", config::to_string(loaded.error()));
    return kExitWrong;
  }
  const auto settings = std::make_shared<const config::Settings>(std::move(*loaded));
  net::configure_offload(environment.processors);
  raise_descriptor_limit();
  // Blocked before any thread starts, so that all threads leave them to this one.
  const sigset_t signals = handled_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);  // sendfile(2) has no MSG_NOSIGNAL

  start_logging(settings->log.level, settings->log.format);
  Result<void> started;
  {
    Service service(line, environment, settings);
    started = service.start(build);
    if (started && !service.run(signals)) std::_Exit(kExitFailed);
  }
  stop_logging();
  if (started) return kExitOk;
  fmt::print(stderr, "layover: {}\n", started.error().describe());
  return kExitFailed;
}

}  // namespace layover::proxy
