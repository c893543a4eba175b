// The program: settings, server, signals.
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "base/log.h"
#include "config/load.h"
#include "config/show.h"
#include "metrics/request_log.h"
#include "net/offload.h"
#include "proxy/command_line.h"
#include "proxy/healthcheck.h"
#include "proxy/server.h"
#include "proxy/service_manager.h"

#ifndef LAYOVER_VERSION
#error "the build defines LAYOVER_VERSION"
#endif

namespace layover {
namespace {

constexpr int kOk = 0;
constexpr int kFailed = 1;
constexpr int kWrong = 2;
constexpr const char* kDefaultConfig = "/etc/layover/layover.json";

sigset_t handled_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  return signals;
}

std::expected<config::Settings, config::Problems> load_settings(const proxy::CommandLine& line,
                                                                const config::Environment& environment) {
  std::expected<config::Settings, config::Problems> settings = config::default_settings(environment);
  if (line.config_file) {
    settings = config::load_file(*line.config_file, environment);
  } else if (FileSystem::system().status(kDefaultConfig)) {
    settings = config::load_file(kDefaultConfig, environment);
  }
  if (!settings) return settings;
  auto problems = config::apply(line.overrides, environment, *settings);
  if (!problems.empty()) return std::unexpected(std::move(problems));
  return settings;
}

int check_config(const std::string& file, const config::Environment& environment) {
  const auto settings = config::load_file(file, environment);
  if (settings) return kOk;
  fmt::print(stderr, "{}\n", config::to_string(settings.error()));
  return kWrong;
}

int show_config(const proxy::CommandLine& line, const config::Environment& environment) {
  const auto settings = load_settings(line, environment);
  if (!settings) {
    fmt::print(stderr, "{}\n", config::to_string(settings.error()));
    return kWrong;
  }
  fmt::print("{}\n",
             config::show(*settings, line.is_json ? config::Layout::kOneLine : config::Layout::kIndented));
  return kOk;
}

int check_health(const config::Endpoint& admin) {
  const auto health = proxy::check_health(admin, Deadline::after(proxy::kHealthcheckPatience));
  if (health) return kOk;
  fmt::print(stderr, "layover: {}\n", health.error().describe());
  return kFailed;
}

void warn_of(const Result<void>& told) {
  if (!told) log_warning("the service manager does not hear: {}", told.error().describe());
}

void greet(const proxy::Server& server, const config::Settings& settings) {
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

/// Waits for a signal that ends the program; answers SIGHUP.
void wait_for_end(const sigset_t& signals) {
  for (;;) {
    int signal = 0;
    if (sigwait(&signals, &signal) != 0) continue;
    if (signal != SIGHUP) return;
    log_warning("SIGHUP: the configuration cannot be reloaded yet; restart layover to change it");
  }
}

/// True once a second signal has come.
bool has_second_signal(const sigset_t& signals) {
  const timespec at_once{};
  const int signal = sigtimedwait(&signals, nullptr, &at_once);
  return signal == SIGTERM || signal == SIGINT;
}

int serve(const proxy::CommandLine& line, const config::Environment& environment) {
  auto loaded = load_settings(line, environment);
  if (!loaded) {
    fmt::print(stderr, "{}\n", config::to_string(loaded.error()));
    return kWrong;
  }
  const auto settings = std::make_shared<const config::Settings>(std::move(*loaded));
  net::configure_offload(environment.processors);
  // Blocked before any thread starts, so that all threads leave them to this one.
  const sigset_t signals = handled_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);  // sendfile(2) has no MSG_NOSIGNAL

  start_logging(settings->log.level, settings->log.format);
  std::optional<metrics::RequestLog> request_log;
  if (settings->log.requests) request_log.emplace(STDOUT_FILENO, settings->log.format, Clock::system());
  auto server = proxy::Server::start({.settings = settings,
                                      .files = FileSystem::system(),
                                      .clock = Clock::system(),
                                      .version = LAYOVER_VERSION,
                                      .revision = LAYOVER_REVISION,
                                      .request_log = request_log ? &*request_log : nullptr});
  if (!server) {
    request_log.reset();
    stop_logging();
    fmt::print(stderr, "layover: {}\n", server.error().describe());
    return kFailed;
  }
  greet(**server, *settings);
  const auto service_manager = proxy::ServiceManager::of_process();
  warn_of(service_manager.tell_ready());
  wait_for_end(signals);
  warn_of(service_manager.tell_stopping());
  log_info("stopping: transfers may take up to {} more; a second signal ends them at once",
           std::chrono::ceil<std::chrono::seconds>(settings->shutdown.delay + settings->shutdown.grace));
  bool is_hurried = false;
  const bool is_finished =
      (*server)->stop([&] { return is_hurried = is_hurried || has_second_signal(signals); });
  if (is_hurried) std::_Exit(kFailed);
  if (!is_finished) log_warning("some transfers were cut off");
  server->reset();
  request_log.reset();
  stop_logging();
  return kOk;
}

int run(int argc, const char* const* argv) {
  const auto line = proxy::parse_command_line(argc, argv, LAYOVER_VERSION);
  if (!line) return line.error().status;
  const config::Environment environment = config::Environment::of_process();
  if (line->command == proxy::Command::kConfigCheck) return check_config(line->checked_file, environment);
  if (line->command == proxy::Command::kConfigShow) return show_config(*line, environment);
  if (line->command == proxy::Command::kHealthcheck) return check_health(line->checked_admin);
  return serve(*line, environment);
}

}  // namespace
}  // namespace layover

int main(int argc, char** argv) { return layover::run(argc, argv); }
