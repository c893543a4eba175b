// Space on the cache's file system: shares and sizes, and what is left to others.
#include "config/space.h"

#include <cstdint>
#include <limits>
#include <string>

#include "config/settings.h"
#include "tests/support/catch.h"

using namespace layover;
using namespace layover::config;

TEST_CASE("a share is of the file system, a size is what it says") {
  CHECK(parse_space("80%")->of(100_GiB) == 80_GiB);
  CHECK(parse_space("0%")->of(100_GiB) == 0_B);
  CHECK(parse_space("100%")->of(999_B) == 999_B);
  CHECK(parse_space("33%")->of(10_B) == 3_B);
  CHECK(parse_space("5GiB")->of(1_GiB) == 5_GiB);
  const Bytes largest{std::numeric_limits<std::uint64_t>::max()};
  CHECK(parse_space("100%")->of(largest) == largest);
}

TEST_CASE("space is written as it is read") {
  for (const char* text : {"80%", "0%", "5GiB", "1025B", "0B", "3TiB"}) {
    REQUIRE(parse_space(text));
    CHECK(to_string(*parse_space(text)) == text);
  }
  CHECK(to_string(*parse_space("1024Mi")) == "1GiB");
}

TEST_CASE("by default 5 GiB stay free, but no more than a twentieth of a small disk") {
  Cache cache;
  CHECK(cache.min_free_of(1000_GiB) == 5_GiB);
  CHECK(cache.min_free_of(100_GiB) == 5_GiB);
  CHECK(cache.min_free_of(20_GiB) == 1_GiB);
}

TEST_CASE("what shall stay free is taken literally where it is given") {
  Cache cache;
  cache.min_free = Space::absolute(5_GiB);
  CHECK(cache.min_free_of(1_GiB) == 5_GiB);
  cache.min_free = Space::share(10);
  CHECK(cache.min_free_of(1000_GiB) == 100_GiB);
  cache.min_free = Space::absolute(0_B);
  CHECK(cache.min_free_of(1000_GiB) == 0_B);
}
