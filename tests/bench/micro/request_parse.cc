// From the bytes of a request to its parts: HTTP by llhttp, then the path.
#include <benchmark/benchmark.h>

#include <string>

#include "net/request_parser.h"
#include "proxy/route.h"

namespace {

using namespace layover;

const std::string kTarget =
    "/v2/library/alpine/manifests/sha256:4bcff63911fcb4448bd4fdacec207030997caf25e9bea4045fa6c8c44de311d1";

/// As containerd sends it.
const std::string kRequest = "GET " + kTarget +
                             "?ns=docker.io HTTP/1.1\r\n"
                             "Host: 127.0.0.1:5000\r\n"
                             "User-Agent: containerd/2.1.4\r\n"
                             "Accept: application/vnd.oci.image.manifest.v1+json, */*\r\n"
                             "Accept-Encoding: zstd, gzip, deflate\r\n\r\n";

void request_parse(benchmark::State& state) {
  net::RequestParser parser(Bytes{32768});
  for (auto _ : state) {
    if (parser.feed(kRequest) != net::RequestParser::Progress::kComplete) state.SkipWithError("not whole");
    benchmark::DoNotOptimize(parser.request().target.data());
    parser.next();
  }
}
BENCHMARK(request_parse);

void route_parse(benchmark::State& state) {
  for (auto _ : state) {
    auto route = proxy::parse_route(kTarget);
    if (!route) state.SkipWithError("no route");
    benchmark::DoNotOptimize(route);
  }
}
BENCHMARK(route_parse);

}  // namespace
