// The one source of randomness: request ids, names of temporary files, jitter. Injectable, so that a
// test can replay a run from its seed. Not for secrets.
#pragma once

#include <cstdint>
#include <string>

namespace layover {

/// Thread-safe.
class Random {
 public:
  virtual ~Random() = default;
  virtual std::uint64_t next() = 0;

  /// 16 lower-case hexadecimal digits.
  std::string next_hex();

  /// Seeded by the system; lives as long as the process.
  static Random& system();
};

}  // namespace layover
