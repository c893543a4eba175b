// What the kernel knows of this process, under the names that Prometheus clients share.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace layover::metrics {

struct ProcessFigures {
  double cpu_seconds = 0;  // user and system
  Bytes resident_memory;
  std::uint64_t open_fds = 0;
  std::uint64_t max_fds = 0;
  double start_time_seconds = 0;  // since the Unix epoch
};

/// Reads /proc; what cannot be read is 0. Thread-safe.
ProcessFigures read_process_figures();

}  // namespace layover::metrics
