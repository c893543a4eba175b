// The head of an answer to a hit.
#include <benchmark/benchmark.h>

#include <utility>

#include "net/response_head.h"

namespace {

using namespace layover;

void header_write(benchmark::State& state) {
  const std::string digest = "sha256:4bcff63911fcb4448bd4fdacec207030997caf25e9bea4045fa6c8c44de311d1";
  for (auto _ : state) {
    net::ResponseHead head(200);
    head.add("Content-Type", "application/vnd.oci.image.manifest.v1+json")
        .add("Content-Length", 1638U)
        .add("Docker-Content-Digest", digest)
        .add("ETag", "\"" + digest + "\"")
        .add("Docker-Distribution-Api-Version", "registry/2.0")
        .add("X-Cache", "HIT");
    auto text = std::move(head).finish();
    benchmark::DoNotOptimize(text.data());
  }
}
BENCHMARK(header_write);

}  // namespace
