// A whole layover in the test's process: four loops, free ports, a cache directory of its own.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/settings.h"
#include "metrics/request_log.h"
#include "proxy/server.h"
#include "tests/support/blocking_client.h"
#include "tests/support/captured_output.h"
#include "tests/support/manual_clock.h"
#include "tests/support/scripted_upstream.h"
#include "tests/support/temporary_directory.h"

namespace layover::test {

/// Four threads, ports chosen by the system, no waiting at the end, and no prefetch: upstream sees what
/// clients ask for, and nothing later.
config::Settings test_settings();
/// A registry whose configured url is the upstream's, and which is asked for tags and missing content at each
/// request.
config::Registry registry_at(std::string_view name, const ScriptedUpstream& upstream);
/// Settings with these registries; the first is the listener's default.
config::Settings settings_with(const std::vector<config::Registry>& registries);

class RunningProxy {
 public:
  /// `files` outlives it.
  explicit RunningProxy(config::Settings settings, FileSystem& files = FileSystem::system());
  RunningProxy(const RunningProxy&) = delete;
  RunningProxy& operator=(const RunningProxy&) = delete;
  ~RunningProxy();

  /// Ends it and starts it again on the same cache, on other ports.
  void restart();
  /// Ends it: graceful, as SIGTERM does. Whether everything was finished in time.
  bool stop();

  const std::string& address() const { return server_->addresses().front(); }
  const std::string& admin_address() const { return server_->admin_address(); }
  proxy::Server& server() { return *server_; }
  ManualClock& clock() { return clock_; }
  const std::string& cache_path() const { return directory_.path(); }

  HttpAnswer get(std::string_view target, const HeaderList& headers = {}) const;
  HttpAnswer head(std::string_view target, const HeaderList& headers = {}) const;
  /// The value of a series, such as `layover_fills_total{result="committed"}`; 0 where it is not shown.
  double metric(std::string_view series) const;
  /// All series, as they are scraped; `value_in` finds one of them.
  std::string metrics() const;
  /// Waits until no download runs; false where that takes too long.
  bool settle() const;
  /// The request log, once it has that many lines; with as many as there are where that takes too long.
  std::vector<std::string> request_lines(std::size_t count) const;

 private:
  void start();

  FileSystem& files_;
  TemporaryDirectory directory_;
  ManualClock clock_;
  std::shared_ptr<const config::Settings> settings_;
  CapturedOutput requests_;
  std::optional<metrics::RequestLog> request_log_;
  std::unique_ptr<proxy::Server> server_;
};

/// One upstream, which is the registry r.test, and a layover in front of it.
struct Site {
  ScriptedUpstream upstream;
  RunningProxy proxy;

  Site() : proxy(settings_with({registry_at("r.test", upstream)})) {}
  /// With its settings changed by `adjust(config::Settings&)`.
  template <typename Adjust>
  explicit Site(Adjust adjust) : proxy(adjusted(adjust)) {}

  /// The only registry's settings.
  static config::Registry& registry(config::Settings& settings) {
    return settings.registries.begin()->second;
  }

 private:
  template <typename Adjust>
  config::Settings adjusted(Adjust adjust) {
    config::Settings settings = settings_with({registry_at("r.test", upstream)});
    adjust(settings);
    return settings;
  }
};

/// The value of a series in a scrape's text; 0 where it is not shown.
double value_in(const std::string& metrics, std::string_view series);
/// "/v2/<repository>/blobs/<digest>".
std::string blob_path(std::string_view repository, std::string_view digest);
std::string manifest_path(std::string_view repository, std::string_view reference);
/// Pseudo-random bytes.
std::string random_bytes(std::size_t size, unsigned seed = 1);
/// An image manifest; `note` makes it differ from others.
std::string image_manifest(std::string_view note = "");

}  // namespace layover::test
