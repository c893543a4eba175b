// Settings for tests, and the server's life.
#include "tests/support/running_proxy.h"

#include <csignal>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include "tests/support/test_loop.h"

namespace layover::test {

config::Settings test_settings() {
  config::Settings settings;
  settings.listen.front().address = {.host = "127.0.0.1", .port = 0};
  settings.admin.listen = {.host = "127.0.0.1", .port = 0};
  settings.threads = 4;
  settings.shutdown = {.delay = std::chrono::milliseconds(0), .grace = std::chrono::seconds(20)};
  settings.cache.prefetch = false;
  return settings;
}

config::Registry registry_at(std::string_view name, const ScriptedUpstream& upstream) {
  config::Registry registry{.name = *oci::RegistryName::parse(name),
                            .url = {.is_tls = false, .host = "127.0.0.1", .port = upstream.port()},
                            .is_url_explicit = true};
  registry.times.tag_ttl = std::chrono::seconds(0);
  registry.times.not_found_ttl = std::chrono::seconds(0);
  return registry;
}

config::Settings settings_with(const std::vector<config::Registry>& registries) {
  config::Settings settings = test_settings();
  settings.listen.front().default_registry = registries.front().name;
  for (const config::Registry& registry : registries) settings.registries.emplace(registry.name, registry);
  return settings;
}

RunningProxy::RunningProxy(config::Settings settings, FileSystem& files) : files_(files) {
  settings.cache.path = directory_.path();
  settings_ = std::make_shared<const config::Settings>(std::move(settings));
  if (settings_->log.requests) request_log_.emplace(requests_.fd(), settings_->log.format, clock_);
  start();
}

RunningProxy::~RunningProxy() {
  if (server_) stop();
}

void RunningProxy::start() {
  prepare_offload();
  std::signal(SIGPIPE, SIG_IGN);  // as the program does
  auto started = proxy::Server::start({.settings = settings_,
                                       .files = files_,
                                       .clock = clock_,
                                       .version = "0.0.0",
                                       .revision = "test",
                                       .request_log = request_log_ ? &*request_log_ : nullptr});
  if (!started) throw std::runtime_error(started.error().describe());
  server_ = std::move(*started);
}

bool RunningProxy::stop() {
  const bool is_finished = server_->stop([] { return false; });
  server_.reset();
  return is_finished;
}

void RunningProxy::restart() {
  stop();
  start();
}

HttpAnswer RunningProxy::get(std::string_view target, const HeaderList& headers) const {
  return fetch(address(), "GET", target, headers);
}

HttpAnswer RunningProxy::head(std::string_view target, const HeaderList& headers) const {
  return fetch(address(), "HEAD", target, headers);
}

double RunningProxy::metric(std::string_view series) const { return value_in(metrics(), series); }

std::string RunningProxy::metrics() const { return fetch(admin_address(), "GET", "/metrics").body; }

bool RunningProxy::settle() const {
  return eventually([this] { return metric("layover_fills_active") == 0; });
}

std::vector<std::string> RunningProxy::request_lines(std::size_t count) const {
  std::vector<std::string> lines;
  eventually([&] {
    lines = requests_.lines();
    return lines.size() >= count;
  });
  return lines;
}

double value_in(const std::string& metrics, std::string_view series) {
  const auto found = ("\n" + metrics).find(fmt::format("\n{} ", series));
  if (found == std::string::npos) return 0;
  return std::stod(metrics.substr(found + series.size() + 1));
}

std::string blob_path(std::string_view repository, std::string_view digest) {
  return fmt::format("/v2/{}/blobs/{}", repository, digest);
}

std::string manifest_path(std::string_view repository, std::string_view reference) {
  return fmt::format("/v2/{}/manifests/{}", repository, reference);
}

std::string random_bytes(std::size_t size, unsigned seed) {
  std::string bytes(size, '\0');
  std::uint64_t state = seed * 0x9E3779B97F4A7C15ULL + 1;
  for (char& byte : bytes) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    byte = static_cast<char>(state >> 56);
  }
  return bytes;
}

std::string image_manifest(std::string_view note) {
  return fmt::format(
      R"({{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:{}","size":2}},"layers":[],"annotations":{{"note":"{}"}}}})",
      std::string(64, 'a'), note);
}

}  // namespace layover::test
