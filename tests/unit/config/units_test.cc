// Sizes and durations as people write them.
#include "config/units.h"

#include <string>
#include <utility>
#include <vector>

#include "tests/support/catch.h"

using namespace std::chrono_literals;
using namespace layover;
using namespace layover::config;

TEST_CASE("durations carry units and add up") {
  const std::vector<std::pair<std::string, std::chrono::milliseconds>> durations = {
      {"250ms", 250ms},
      {"0s", 0s},
      {"30s", 30s},
      {"5m", 5min},
      {"24h", 24h},
      {"30d", 30 * 24h},
      {"1h30m", 90min},
      {"1d2h3m4s5ms", 26h + 3min + 4s + 5ms},
      {"90m", 90min},
      {"007s", 7s},
      {"36500d", 36500 * 24h},
  };
  for (const auto& [text, expected] : durations) {
    INFO(text);
    CHECK(parse_duration(text) == expected);
  }
}

TEST_CASE("other texts are no durations") {
  for (const char* text : {"",
                           "5",
                           "0",
                           "s",
                           "ms",
                           "-5s",
                           "+5s",
                           "1.5s",
                           "5 s",
                           " 5s",
                           "5s ",
                           "5S",
                           "5sec",
                           "5min",
                           "1w",
                           "1y",
                           "5s5s",
                           "5m1h",
                           "5ms1s",
                           "1h30",
                           "1e3s",
                           "0x5s",
                           "36501d",
                           "99999999999999999999s",
                           "18446744073709551615d",
                           "36500d1ms",
                           "5s\n",
                           "1h-5m"}) {
    INFO(text);
    CHECK_FALSE(parse_duration(text));
  }
}

TEST_CASE("sizes carry units, binary or decimal") {
  const std::vector<std::pair<std::string, std::uint64_t>> sizes = {
      {"0B", 0},
      {"512B", 512},
      {"32KiB", 32768},
      {"32Ki", 32768},
      {"5MiB", 5242880},
      {"5Mi", 5242880},
      {"5GiB", 5368709120},
      {"5Gi", 5368709120},
      {"2TiB", 2199023255552},
      {"2Ti", 2199023255552},
      {"1KB", 1000},
      {"1MB", 1000000},
      {"100GB", 100000000000},
      {"1TB", 1000000000000},
      {"16777215TiB", 16777215ULL << 40},
  };
  for (const auto& [text, expected] : sizes) {
    INFO(text);
    REQUIRE(parse_size(text));
    CHECK(parse_size(text)->count == expected);
  }
}

TEST_CASE("other texts are no sizes") {
  for (const char* text :
       {"",      "5",   "0",  "GiB", "-5GiB", "+5GiB",    "1.5GiB", "5 GiB",       "5gib",
        "5gb",   "5G",  "5K", "5k",  "5GiBs", "5GiB5MiB", "80%",    "16777216TiB", "99999999999999999999B",
        "5GiB ", "5EiB"}) {
    INFO(text);
    CHECK_FALSE(parse_size(text));
  }
}

TEST_CASE("durations and sizes are written as they are read") {
  CHECK(duration_text(0ms) == "0s");
  CHECK(duration_text(250ms) == "250ms");
  CHECK(duration_text(90min) == "1h30m");
  CHECK(duration_text(24h * 30 + 1ms) == "30d1ms");
  CHECK(size_text(0_B) == "0B");
  CHECK(size_text(32_KiB) == "32KiB");
  CHECK(size_text(5_GiB) == "5GiB");
  CHECK(size_text({1025}) == "1025B");
  CHECK(size_text({2ULL << 40}) == "2TiB");
}
