// Every fault of an upstream, by every kind of reader, for a moment, for good, and at a mirror: what clients
// get, what is stored, what is counted, and what upstream is asked. The faults themselves are in
// tests/support/faults.cc.
//
// LAYOVER_TEST_SEED repeats a run, LAYOVER_TEST_FAULT ("reset at N") runs one row, LAYOVER_TEST_SAMPLE=N runs
// one cell of N, chosen by the seed.
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "tests/support/catch.h"
#include "tests/support/fault_cell.h"
#include "tests/support/faults.h"
#include "tests/support/test_loop.h"

using namespace layover::test;
using Lasting = FaultyRegistry::Lasting;

namespace {

constexpr Expected kWhole{.outcome = Outcome::kWhole};
constexpr Expected kCutShort{.outcome = Outcome::kCutShort};
constexpr Expected kWholeOrCutShort{.outcome = Outcome::kWholeOrCutShort};
constexpr Expected error(int status) { return {.outcome = Outcome::kError, .status = status}; }

/// Requests of a download that carries on: each that brings no byte is followed by few more.
constexpr int kMany = 16;

struct Row {
  std::string_view fault;
  Expected passes;            // where the fault is gone when upstream is asked again
  Expected stays;             // where it is not
  std::string_view reason{};  // of layover_upstream_errors_total
  std::string_view result{};  // of layover_fills_total
  int tries = 1;              // see Cell
  bool starts_over = false;   // see Cell
  bool has_no_size = false;   // upstream does not tell it: a range is answered when all is verified

  bool is_harmless() const { return stays.outcome == Outcome::kWhole && reason.empty(); }
};

const std::vector<Row> kTable{
    // No faults to a client.
    {"delay", kWhole, kWhole},
    {"chunked", kWhole, kWhole},
    {"no length", kWhole, kWhole},
    {"HTTP/1.0", kWhole, kWhole},

    // The connection: asked again, from where it broke.
    {"reset before the answer", kWhole, error(502), "reset", "upstream_error", kMany},
    {"reset at N", kWhole, kCutShort, "reset", "upstream_error", kMany},
    {"short body, right length", kWhole, kCutShort, "reset", "short", kMany},
    {"bad chunk", kWhole, kCutShort, "protocol", "upstream_error", kMany, false, true},
    {"stall at N", kWhole, kCutShort, "timeout", "upstream_error", kMany},
    {"black hole at headers", kWhole, error(504), "timeout", "upstream_error", kMany},
    {"black hole in the body", kWhole, kCutShort, "timeout", "upstream_error", kMany},
    {"TLS: handshake cut off", kWhole, error(502), "tls", "upstream_error", kMany},

    // Other bytes than the digest's: nobody gets their end, and upstream is not asked for a while.
    {"short body, wrong length", kCutShort, kCutShort, "", "mismatch"},
    {"wrong bytes at N", kCutShort, kCutShort, "", "mismatch"},
    {"another size", kCutShort, kCutShort, "", "mismatch"},

    // Carrying on: what does not fit is never put together.
    {"reset once, ranges ignored", kWhole, kWhole, "reset", "upstream_error", kMany, true},
    {"reset at N, ranges ignored", kWhole, kCutShort, "reset", "upstream_error", kMany, true},
    {"wrong Content-Range", kWholeOrCutShort, kCutShort, "reset", "upstream_error", kMany},
    {"another size on carrying on", kWholeOrCutShort, kCutShort, "reset", "upstream_error", kMany},
    {"200 instead of 206", kWholeOrCutShort, kCutShort, "reset", "upstream_error", kMany},
    {"503 on carrying on", kWhole, kCutShort, "reset", "upstream_error", kMany},
    {"404 on carrying on", kWholeOrCutShort, kCutShort, "reset", "upstream_error", kMany},
    {"token expired in the middle", kWhole, kCutShort, "reset", "upstream_error", kMany},
    {"redirect to a CDN that breaks off", kWhole, kCutShort, "reset", "upstream_error", kMany},

    // The registry's own word is passed on. A server's error is asked about once more.
    {"401 loop", kWhole, error(401), "", "upstream_error", 2},
    {"403", error(403), error(403), "", "upstream_error"},
    {"404", error(404), error(404), "", "upstream_error"},
    {"429", error(429), error(429), "ratelimited", "upstream_error"},
    {"500", kWhole, error(502), "status", "upstream_error", 2},
    {"502", kWhole, error(502), "status", "upstream_error", 2},
    {"503", kWhole, error(503), "status", "upstream_error", 2},
    {"504", kWhole, error(504), "status", "upstream_error", 2},
    {"redirect to a CDN that answers 503", kWhole, error(502), "status", "upstream_error", 2},

    // So is a handshake that fails.
    {"TLS: expired", kWhole, error(502), "tls", "upstream_error", 2},
    {"TLS: wrong host", kWhole, error(502), "tls", "upstream_error", 2},
    {"TLS: unknown authority", kWhole, error(502), "tls", "upstream_error", 2},

    // Wrong in a way that asking again does not mend.
    {"redirect loop", error(502), error(502), "protocol", "upstream_error", 6},
    {"huge headers", error(502), error(502), "protocol", "upstream_error"},
    {"an HTML page with 200", error(502), error(502), "protocol", "upstream_error"},
    {"connection refused", error(502), error(502), "connect", "upstream_error"},
    {"black hole at connect", error(504), error(504), "timeout", "upstream_error"},
    {"no such name", error(502), error(502), "dns", "upstream_error"},
};

std::uint64_t choose_seed() {
  const char* given = std::getenv("LAYOVER_TEST_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
}

/// Below HTTP there are no requests that could be counted: such a fault stays until it is ended.
bool can_pass(const Fault& fault) { return fault.way == Way::kOpen; }

/// Nothing where there is no such cell.
std::optional<Expected> expected_of(const Row& row, Lasting lasting, Readers readers) {
  if (lasting == Lasting::kPasses && !can_pass(fault(row.fault))) return std::nullopt;
  const Expected& usual = lasting == Lasting::kPasses ? row.passes : row.stays;
  if (usual.outcome == Outcome::kWhole || usual.outcome == Outcome::kError) return usual;
  const bool is_verified_first = readers == (row.has_no_size ? Readers::kRange : Readers::kSmall);
  if (!is_verified_first) return usual;
  // Which of its two faults such a client is told is of no importance.
  if (fault(row.fault).spoils > 1) return std::nullopt;
  return error(row.reason == "timeout" ? 504 : 502);
}

/// What cannot be mended is that clients have got wrong bytes before anybody could know.
Expected expected_at_mirror(const Row& row, Readers readers) {
  return row.result == "mismatch" && readers != Readers::kSmall ? kCutShort : kWhole;
}

/// Of how many cells one is run.
unsigned choose_sample() {
  const char* given = std::getenv("LAYOVER_TEST_SAMPLE");
  return given == nullptr ? 1 : std::max(1U, static_cast<unsigned>(std::strtoul(given, nullptr, 10)));
}

enum class Place { kRegistry, kMirror };

std::vector<Cell> cells_of(Lasting lasting, Place place, std::uint64_t seed) {
  const char* only = std::getenv("LAYOVER_TEST_FAULT");
  if (only != nullptr) fault(only);  // there must be one of that name
  const unsigned sample = choose_sample();
  std::vector<Cell> cells;
  for (const Row& row : kTable) {
    const bool is_chosen = only == nullptr || row.fault == only;
    if (!is_chosen) continue;
    for (const Readers readers :
         {Readers::kOne, Readers::kTwenty, Readers::kLate, Readers::kRange, Readers::kSmall}) {
      const auto expected =
          place == Place::kMirror ? expected_at_mirror(row, readers) : expected_of(row, lasting, readers);
      if (!expected) continue;
      cells.push_back({.fault = fault(row.fault),
                       .lasting = lasting,
                       .readers = readers,
                       .expected = *expected,
                       .reason = row.reason,
                       .result = row.result,
                       .tries = row.tries,
                       .is_harmless = row.is_harmless(),
                       .starts_over = row.starts_over,
                       .is_at_mirror = place == Place::kMirror,
                       .seed = 0});
      // Of its own, so that one row alone repeats what it was among all.
      cells.back().seed = seed ^ std::hash<std::string>()(cells.back().name());
      if (cells.back().seed % sample != 0) cells.pop_back();
    }
  }
  return cells;
}

/// Runs the cells, several at a time: most of their time they wait.
void run_all(std::vector<Cell> cells, std::uint64_t seed) {
  constexpr unsigned kAtOnce = 10;
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::vector<std::string> failures;
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < kAtOnce; ++i) {
    threads.emplace_back([&] {
      for (std::size_t at = 0; (at = next++) < cells.size();) {
        const auto problems = find_problems(cells[at]);
        if (problems.empty()) continue;
        const std::lock_guard lock(mutex);
        failures.push_back(fmt::format("{}: {}", cells[at].name(), fmt::join(problems, "; ")));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::ranges::sort(failures);
  for (const std::string& failure : failures) FAIL_CHECK(failure << " [LAYOVER_TEST_SEED=" << seed << "]");
  INFO(failures.size() << " of " << cells.size() << " cells failed");
  CHECK(failures.empty());
}

void run_table(Lasting lasting, Place place = Place::kRegistry) {
  prepare_offload();
  const std::uint64_t seed = choose_seed();
  std::cout << "LAYOVER_TEST_SEED=" << seed << '\n';
  run_all(cells_of(lasting, place, seed), seed);
}

}  // namespace

TEST_CASE("every fault has its row in the table, and every row its fault") {
  std::set<std::string_view> rows;
  for (const Row& row : kTable) rows.insert(row.fault);
  std::set<std::string_view> names;
  for (const Fault& one : faults()) names.insert(one.name);
  CHECK(rows == names);
  CHECK(rows.size() == kTable.size());
}

TEST_CASE("a fault of upstream that passes costs no client what asking again can mend") {
  run_table(Lasting::kPasses);
}

TEST_CASE("a fault of upstream that stays ends every answer in time, and nothing wrong is stored") {
  run_table(Lasting::kStays);
}

TEST_CASE("a fault of a mirror that stays costs no client what the registry can give") {
  run_table(Lasting::kStays, Place::kMirror);
}
