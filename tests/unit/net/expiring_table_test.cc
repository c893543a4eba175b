// ExpiringTable: entries that end by themselves, in bounded memory.
#include "net/expiring_table.h"

#include <chrono>
#include <thread>

#include "tests/support/catch.h"

using layover::Deadline;
using layover::net::ExpiringTable;
using namespace std::chrono_literals;

TEST_CASE("an entry is found until its time has passed") {
  ExpiringTable<int, int> table(10);
  CHECK_FALSE(table.find(1));
  CHECK(table.put(1, 10, Deadline::after(1h)));
  CHECK(table.put(2, 20, Deadline::after(0s)));
  CHECK(table.find(1) == 10);
  CHECK_FALSE(table.find(2));
  CHECK(table.put(1, 11, Deadline::after(1h)));
  CHECK(table.find(1) == 11);
  table.erase(1);
  CHECK_FALSE(table.find(1));
}

TEST_CASE("a full table takes nothing new, and does not keep an older value under the key either") {
  ExpiringTable<int, int> table(3);
  for (int i = 0; i < 3; ++i) CHECK(table.put(i, i, Deadline::after(1h)));
  CHECK_FALSE(table.put(3, 3, Deadline::after(1h)));
  CHECK_FALSE(table.put(0, 100, Deadline::after(1h)));
  CHECK_FALSE(table.find(0));
  CHECK(table.find(1) == 1);
}

TEST_CASE("ended entries make room") {
  ExpiringTable<int, int> table(3);
  for (int i = 0; i < 3; ++i) CHECK(table.put(i, i, Deadline::after(0s)));
  CHECK(table.put(3, 3, Deadline::after(1h)));
  CHECK(table.find(3) == 3);
}
