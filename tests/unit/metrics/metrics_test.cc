// The scrape: names, labels and values as Prometheus reads them.
#include "metrics/metrics.h"

#include <string>
#include <thread>

#include "tests/support/catch.h"

using namespace layover::metrics;
using namespace layover;
using Catch::Matchers::Contains;
using std::chrono::milliseconds;

namespace {

MetricsOptions options() { return {{"docker.io", "ghcr.io", "*"}, 2, "1.2.3", "abc\"def"}; }

RequestRecord blob_hit(RegistryLabel registry) {
  return {.registry = registry,
          .kind = Kind::kBlob,
          .method = Method::kGet,
          .cache = CacheResult::kHit,
          .code = 206,
          .sent = 5'000'000'000_B,
          .saved = 4'000'000'000_B,
          .duration = milliseconds(30),
          .time_to_first_byte = milliseconds(2)};
}

}  // namespace

TEST_CASE("a counted request shows in every family of requests") {
  const Metrics metrics(options());
  metrics.count_request(blob_hit(metrics.registry("ghcr.io")));
  const std::string text = metrics.serialize();
  CHECK_THAT(text, Contains(R"(layover_http_requests_total{registry="ghcr.io",kind="blob",method="GET",)"
                            R"(code="206",cache="hit"} 1)"));
  CHECK_THAT(text, Contains("# TYPE layover_http_requests_total counter\n"));
  CHECK_THAT(text,
             Contains(R"(layover_sent_bytes_total{registry="ghcr.io",kind="blob",cache="hit"} 5000000000)"));
  CHECK_THAT(text, Contains(R"(layover_saved_bytes_total{registry="ghcr.io"} 4000000000)"));
  const std::string duration = R"(layover_http_request_duration_seconds_bucket{kind="blob",cache="hit",le=)";
  CHECK_THAT(text, Contains(duration + "\"0.025\"} 0\n"));
  CHECK_THAT(text, Contains(duration + "\"0.05\"} 1\n"));
  CHECK_THAT(text, Contains(duration + "\"300\"} 1\n"));
  CHECK_THAT(text, Contains(duration + "\"+Inf\"} 1\n"));
  CHECK_THAT(text, Contains(R"(layover_http_request_duration_seconds_count{kind="blob",cache="hit"} 1)"));
  CHECK_THAT(text, Contains(R"(layover_http_request_duration_seconds_sum{kind="blob",cache="hit"} 0.03)"));
  CHECK_THAT(text,
             Contains(R"(layover_time_to_first_byte_seconds_bucket{kind="blob",cache="hit",le="0.0025"} 1)"));
}

TEST_CASE("a request without a first byte is not in the times to first byte") {
  const Metrics metrics(options());
  auto record = blob_hit({});
  record.time_to_first_byte.reset();
  metrics.count_request(record);
  CHECK_THAT(metrics.serialize(), !Contains("layover_time_to_first_byte_seconds"));
}

TEST_CASE("registries that the configuration does not name are other") {
  const Metrics metrics(options());
  CHECK(metrics.registry("evil.example") == RegistryLabel{});
  CHECK(metrics.registry("*") == RegistryLabel{});
  CHECK(metrics.registry("other") == RegistryLabel{});
  CHECK(metrics.registry("docker.io") == RegistryLabel{1});
  metrics.digest_mismatches(metrics.registry("evil.example")).add();
  metrics.digest_mismatches(RegistryLabel{999}).add();
  const std::string text = metrics.serialize();
  CHECK_THAT(text, Contains(R"(layover_digest_mismatches_total{registry="other"} 2)"));
  CHECK_THAT(text, !Contains("registry=\"*\""));
}

TEST_CASE("counters that alerts look at are there from the start") {
  const std::string text = Metrics(options()).serialize();
  CHECK_THAT(text, Contains("layover_fills_total{result=\"committed\"} 0\n"));
  CHECK_THAT(text, Contains("layover_fills_total{result=\"abandoned\"} 0\n"));
  CHECK_THAT(text, Contains("layover_digest_mismatches_total{registry=\"docker.io\"} 0\n"));
  CHECK_THAT(text, Contains("layover_upstream_errors_total{registry=\"ghcr.io\",reason=\"dns\"} 0\n"));
  CHECK_THAT(text, Contains("layover_client_aborts_total 0\n"));
  CHECK_THAT(text, Contains("layover_access_denied_total{reason=\"grant\"} 0\n"));
  CHECK_THAT(text, Contains("layover_cache_degraded 0\n"));
  CHECK_THAT(text, Contains("layover_connections{side=\"client\"} 0\n"));
  CHECK_THAT(text, !Contains("layover_http_requests_total"));
}

TEST_CASE("each door counts its own series") {
  Metrics metrics(options());
  const RegistryLabel hub = metrics.registry("docker.io");
  metrics.upstream_requests(hub, Kind::kManifest, 404).add();
  metrics.upstream_received_bytes(hub).add(70);
  metrics.upstream_request_duration(hub, Kind::kBlob).observe(milliseconds(700));
  metrics.upstream_errors(hub, UpstreamReason::kTls).add(2);
  metrics.fills_active().add();
  metrics.fill_readers().add(20);
  metrics.fill_readers().sub();
  metrics.fills(FillResult::kCommitted).add();
  metrics.connections(Side::kUpstream).add(3);
  metrics.stale_served(hub).add();
  metrics.client_aborts().add();
  metrics.access_denied(DenialReason::kRegistry).add();
  metrics.set_cache_degraded(true);
  const std::string text = metrics.serialize();
  CHECK_THAT(
      text,
      Contains(R"(layover_upstream_requests_total{registry="docker.io",kind="manifest",code="404"} 1)"));
  CHECK_THAT(text, Contains(R"(layover_upstream_received_bytes_total{registry="docker.io"} 70)"));
  CHECK_THAT(
      text,
      Contains(R"(layover_upstream_request_duration_seconds_sum{registry="docker.io",kind="blob"} 0.7)"));
  CHECK_THAT(text, Contains(R"(layover_upstream_errors_total{registry="docker.io",reason="tls"} 2)"));
  CHECK_THAT(text, Contains("layover_fills_active 1\n"));
  CHECK_THAT(text, Contains("layover_fill_readers 19\n"));
  CHECK_THAT(text, Contains(R"(layover_fills_total{result="committed"} 1)"));
  CHECK_THAT(text, Contains(R"(layover_connections{side="upstream"} 3)"));
  CHECK_THAT(text, Contains(R"(layover_stale_served_total{registry="docker.io"} 1)"));
  CHECK_THAT(text, Contains("layover_client_aborts_total 1\n"));
  CHECK_THAT(text, Contains(R"(layover_access_denied_total{reason="registry"} 1)"));
  CHECK_THAT(text, Contains("layover_cache_degraded 1\n"));
}

TEST_CASE("the cache's figures are read at each scrape, until told otherwise") {
  Metrics metrics(options());
  CHECK_THAT(metrics.serialize(), !Contains("layover_cache_bytes"));
  metrics.read_cache_figures_with([] { return CacheFigures{10_GiB, 3, 4, 5_MiB, 20_GiB}; });
  const std::string text = metrics.serialize();
  CHECK_THAT(text, Contains("layover_cache_bytes 10737418240\n"));
  CHECK_THAT(text, Contains("layover_cache_max_bytes 21474836480\n"));
  CHECK_THAT(text, Contains("layover_cache_objects{kind=\"manifest\"} 3\n"));
  CHECK_THAT(text, Contains("layover_cache_objects{kind=\"blob\"} 4\n"));
  CHECK_THAT(text, Contains("layover_index_bytes 5242880\n"));
  metrics.read_cache_figures_with([] { return CacheFigures{10_GiB, 3, 4, 5_MiB, 0_B}; });
  CHECK_THAT(metrics.serialize(), !Contains("layover_cache_max_bytes"));
  metrics.read_cache_figures_with({});
  CHECK_THAT(metrics.serialize(), !Contains("layover_cache_bytes"));
}

TEST_CASE("the process and the build are described") {
  const std::string text = Metrics(options()).serialize();
  CHECK_THAT(text, Contains(R"(layover_build_info{version="1.2.3",revision="abc\"def"} 1)"));
  CHECK_THAT(text, Contains("# TYPE process_cpu_seconds_total counter\n"));
  for (const auto* name : {"process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds",
                           "process_max_fds", "process_start_time_seconds"}) {
    CAPTURE(name);
    const std::size_t at = text.find("\n" + std::string(name) + " ");
    REQUIRE(at != std::string::npos);
    CHECK(std::stod(text.substr(at + std::string(name).size() + 2)) > 0);
  }
}

TEST_CASE("requests are counted on loops while scrapes run") {
  constexpr int kRequests = 20'000;
  const Metrics metrics(options());
  {
    std::jthread scraper([&metrics](const std::stop_token& stop) {
      while (!stop.stop_requested()) static_cast<void>(metrics.serialize());
    });
    std::vector<std::jthread> loops;
    for (unsigned loop = 0; loop < 3; ++loop) {
      loops.emplace_back([&metrics, loop] {
        set_cell_index(loop);
        for (int i = 0; i < kRequests; ++i) metrics.count_request(blob_hit({}));
      });
    }
  }
  CHECK_THAT(metrics.serialize(),
             Contains(R"(registry="other",kind="blob",method="GET",code="206",cache="hit"} 60000)"));
}

TEST_CASE("a registry that is added later has series of its own, until there are too many") {
  Metrics metrics(options());
  CHECK(metrics.registry("later.example") == RegistryLabel{});
  REQUIRE(metrics.add_registry("later.example"));
  metrics.count_request(blob_hit(metrics.registry("later.example")));
  CHECK_THAT(metrics.serialize(),
             Contains(R"(layover_saved_bytes_total{registry="later.example"} 4000000000)"));
  CHECK(metrics.add_registry("ghcr.io"));  // there already

  int added = 0;
  while (metrics.add_registry("r" + std::to_string(added))) ++added;
  CHECK(added >= 50);
  CHECK(metrics.registry("r" + std::to_string(added)) == RegistryLabel{});
  metrics.count_request(blob_hit(metrics.registry("r" + std::to_string(added - 1))));
  CHECK_THAT(metrics.serialize(), Contains(R"(layover_saved_bytes_total{registry="r)" +
                                           std::to_string(added - 1) + R"("} 4000000000)"));
}

TEST_CASE("what registries say of their rate limits is shown for those that do") {
  const Metrics metrics(options());
  CHECK_THAT(metrics.serialize(), !Contains("ratelimit_remaining"));
  metrics.note_ratelimit_remaining(metrics.registry("docker.io"), 76);
  metrics.note_ratelimit_remaining(metrics.registry("docker.io"), 0);
  CHECK_THAT(metrics.serialize(),
             Contains("layover_upstream_ratelimit_remaining{registry=\"docker.io\"} 0\n"));
  CHECK_THAT(metrics.serialize(), !Contains("layover_upstream_ratelimit_remaining{registry=\"ghcr.io\"}"));
}
