// One cell of the fault table: a registry with a fault, a layover in front of it, its clients, and whether
// all that can be seen of it is as expected.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/faulty_registry.h"

namespace layover::test {

enum class Readers {
  kOne,
  kTwenty,
  kLate,   // one, and a second one that comes while the first one's answer is under way
  kRange,  // one that asks for a range which begins before the fault and has the last byte
  kSmall,  // one, of a blob so small that it is verified before the status line
};
std::string_view to_string(Readers readers);

/// What a client gets.
enum class Outcome {
  kWhole,            // all bytes
  kCutShort,         // an orderly end before the announced one
  kWholeOrCutShort,  // either: layover may ask again or give up, but never put together what does not fit
  kError,            // an error answer with its status
};

struct Expected {
  Outcome outcome = Outcome::kWhole;
  int status = 0;  // of an error
};

struct Cell {
  Fault fault;
  FaultyRegistry::Lasting lasting = FaultyRegistry::Lasting::kPasses;
  Readers readers = Readers::kOne;
  Expected expected;
  std::string_view reason;    // of layover_upstream_errors_total; empty: none is counted
  std::string_view result;    // of layover_fills_total, where not all is well
  int tries = 1;              // the most requests that one download may make while the fault stays
  bool is_harmless = false;   // whole at the first try
  bool starts_over = false;   // the good bytes are of no use: they are asked for again
  bool is_at_mirror = false;  // the registry with the fault is the mirror of one that is well
  std::uint64_t seed = 0;

  std::string name() const;
};

/// Runs it. One line for each thing that is not as expected. Not a test's own thread: asserts nothing.
std::vector<std::string> find_problems(const Cell& cell);

}  // namespace layover::test
