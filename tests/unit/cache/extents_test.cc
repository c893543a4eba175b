// Sets of byte ranges: what is merged, and what is found.
#include "cache/extents.h"

#include <random>
#include <vector>

#include "tests/support/catch.h"

using namespace layover;
using layover::cache::Extents;

TEST_CASE("an empty set holds nothing") {
  const Extents extents;
  CHECK(extents.end_from(0) == 0);
  CHECK(extents.end_from(7) == 7);
  CHECK_FALSE(extents.next_from(0));
  CHECK(extents.end_before(100) == 0);
  CHECK(extents.total() == 0);
}

TEST_CASE("ranges that touch or overlap become one") {
  Extents extents;
  extents.add({.begin = 10, .end = 20});
  extents.add({.begin = 30, .end = 40});
  extents.add({.begin = 5, .end = 5});
  CHECK(extents.end_from(10) == 20);
  CHECK(extents.end_from(20) == 20);
  CHECK(extents.next_from(20) == 30);
  CHECK(extents.next_from(35) == 35);
  CHECK(extents.end_before(29) == 20);
  CHECK(extents.end_before(9) == 0);
  extents.add({.begin = 20, .end = 30});
  CHECK(extents.end_from(10) == 40);
  CHECK(extents.total() == 30);
  extents.add({.begin = 0, .end = 100});
  CHECK(extents.end_from(0) == 100);
  CHECK(extents.total() == 100);
}

TEST_CASE("it is the set that a row of bits would be") {
  constexpr std::size_t kSize = 200;
  std::mt19937 random(GENERATE(1U, 2U, 3U));
  Extents extents;
  std::vector<bool> bits(kSize, false);
  for (int step = 0; step < 60; ++step) {
    const std::uint64_t begin = random() % kSize;
    const std::uint64_t end = std::min<std::uint64_t>(kSize, begin + random() % 12);
    extents.add({.begin = begin, .end = end});
    for (std::uint64_t i = begin; i < end; ++i) bits[i] = true;
    std::size_t total = 0;
    for (std::size_t i = 0; i < kSize; ++i) {
      total += bits[i] ? 1 : 0;
      std::size_t run = i;
      while (run < kSize && bits[run]) ++run;
      std::size_t next = i;
      while (next < kSize && !bits[next]) ++next;
      REQUIRE(extents.end_from(i) == run);
      REQUIRE(extents.next_from(i) == (next < kSize ? std::optional<std::uint64_t>(next) : std::nullopt));
    }
    REQUIRE(extents.total() == total);
  }
}
