// A request's line in the log of requests, up to the writer's buffer.
#include <benchmark/benchmark.h>
#include <fcntl.h>

#include <chrono>

#include "base/unique_fd.h"
#include "metrics/request_log.h"

namespace {

using namespace layover;

void request_line(benchmark::State& state, LogFormat format) {
  const UniqueFd nowhere(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  metrics::RequestLog log(nowhere.get(), format, Clock::system());
  metrics::RequestRecord record;
  record.kind = metrics::Kind::kManifest;
  record.cache = metrics::CacheResult::kHit;
  record.code = 200;
  record.sent = Bytes{1638};
  record.duration = std::chrono::microseconds(84);
  record.time_to_first_byte = std::chrono::microseconds(71);
  for (auto _ : state) {
    log.write({.record = record,
               .client = "10.20.30.40",
               .method = "GET",
               .registry = "registry.example.com",
               .repository = "library/application",
               .reference = "sha256:4bcff63911fcb4448bd4fdacec207030997caf25e9bea4045fa6c8c44de311d1",
               .user_agent = "containerd/2.1.4",
               .request_id = "0123456789abcdef"});
  }
}
BENCHMARK_CAPTURE(request_line, text, LogFormat::kText);
BENCHMARK_CAPTURE(request_line, json, LogFormat::kJson);

}  // namespace
