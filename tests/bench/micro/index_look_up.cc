// What a hit asks the index, with 100,000 objects in it.
#include <benchmark/benchmark.h>

#include <memory>
#include <random>
#include <stdexcept>
#include <vector>

#include "tests/bench/index_objects.h"
#include "tests/support/temporary_directory.h"

namespace {

using namespace layover;

constexpr unsigned kObjects = 100'000;

/// Made once, for all benchmarks here.
cache::Index& index() {
  static const test::TemporaryDirectory directory;
  static const std::unique_ptr<cache::Index> made = [] {
    auto index = bench::make_index(directory.path(), kObjects);
    if (!index) throw std::runtime_error(index.error().describe());
    return std::move(*index);
  }();
  return *made;
}

void index_snapshot(benchmark::State& state) {
  cache::Index& made = index();
  for (auto _ : state) {
    auto snapshot = made.snapshot(0);
    benchmark::DoNotOptimize(snapshot);
  }
}
BENCHMARK(index_snapshot);

void index_look_up(benchmark::State& state) {
  cache::Index& made = index();
  std::minstd_rand chance(1);
  std::vector<oci::Digest> digests;
  std::vector<cache::Scope> scopes;
  for (unsigned i = 0; i < 10'000; ++i) {
    const auto number = std::uniform_int_distribution<unsigned>(0, kObjects - 1)(chance);
    digests.push_back(bench::object_digest(number));
    scopes.push_back(bench::object_scope(number));
  }
  std::size_t next = 0;
  for (auto _ : state) {
    const auto snapshot = made.snapshot(0);
    if (!snapshot.content(digests[next])) state.SkipWithError("not found");
    auto grant = snapshot.grant(scopes[next], digests[next], cache::ContentKind::kBlob);
    benchmark::DoNotOptimize(grant);
    next = (next + 1) % digests.size();
  }
}
BENCHMARK(index_look_up);

}  // namespace
