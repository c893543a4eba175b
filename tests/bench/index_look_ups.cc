// `index_look_ups DIRECTORY OBJECTS LOOK-UPS`: fills an index in a cache directory and looks objects up at
// random, each as a hit does: a snapshot, the content's record, the repository's grant. Prints "P50 P99" in
// nanoseconds.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <random>
#include <string>
#include <vector>

#include "tests/bench/index_objects.h"

namespace {

using namespace layover;

bool look_up(cache::Index& index, const cache::Scope& scope, const oci::Digest& digest) {
  const auto snapshot = index.snapshot(0);
  return snapshot.content(digest) && snapshot.grant(scope, digest, cache::ContentKind::kBlob);
}

/// Of each look-up; empty where an object is not found.
std::vector<std::int64_t> time_look_ups(cache::Index& index, unsigned objects, unsigned count) {
  std::minstd_rand chance(count);
  std::vector<std::int64_t> nanoseconds;
  nanoseconds.reserve(count);
  for (unsigned i = 0; i < count; ++i) {
    const auto number = std::uniform_int_distribution<unsigned>(0, objects - 1)(chance);
    const auto digest = bench::object_digest(number);
    const auto scope = bench::object_scope(number);
    const auto began = std::chrono::steady_clock::now();
    if (!look_up(index, scope, digest)) return {};
    nanoseconds.push_back((std::chrono::steady_clock::now() - began).count());
  }
  std::ranges::sort(nanoseconds);
  return nanoseconds;
}

unsigned number_of(const std::string& text) {
  return static_cast<unsigned>(std::strtoul(text.c_str(), nullptr, 10));
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv, argv + argc);
  if (arguments.size() != 4) {
    std::cerr << "usage: index_look_ups DIRECTORY OBJECTS LOOK-UPS\n";
    return 2;
  }
  const unsigned objects = number_of(arguments[2]);
  const auto index = bench::make_index(arguments[1], objects);
  if (!index) {
    std::cerr << index.error().describe() << "\n";
    return 1;
  }
  const auto times = time_look_ups(**index, objects, number_of(arguments[3]));
  if (times.empty()) {
    std::cerr << "an object is not found\n";
    return 1;
  }
  std::cout << times[times.size() / 2] << " " << times[times.size() * 99 / 100] << "\n";
  return 0;
}
