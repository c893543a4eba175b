// The parts of an image's name.
#include <benchmark/benchmark.h>

#include <string>

#include "oci/reference.h"

namespace {

using namespace layover;

void reference_parse_digest(benchmark::State& state) {
  const std::string text = "sha256:4bcff63911fcb4448bd4fdacec207030997caf25e9bea4045fa6c8c44de311d1";
  for (auto _ : state) {
    auto digest = oci::Digest::parse(text);
    benchmark::DoNotOptimize(digest);
  }
}
BENCHMARK(reference_parse_digest);

void reference_parse_tag(benchmark::State& state) {
  const std::string text = "3.19.1-slim-bookworm";
  for (auto _ : state) {
    auto tag = oci::Tag::parse(text);
    benchmark::DoNotOptimize(tag);
  }
}
BENCHMARK(reference_parse_tag);

void reference_parse_repository(benchmark::State& state) {
  const std::string text = "organisation/team/application";
  for (auto _ : state) {
    auto repository = oci::RepositoryName::parse(text);
    benchmark::DoNotOptimize(repository);
  }
}
BENCHMARK(reference_parse_repository);

}  // namespace
