// LogPause: the first at once, and then one a pause with the sum.
#include "base/log_pause.h"

#include "tests/support/catch.h"

using layover::LogPause;

TEST_CASE("of what happens again and again the first is told, and then how often it has") {
  LogPause minute;
  CHECK(minute.count() == 1);
  CHECK_FALSE(minute.count());
  CHECK_FALSE(minute.count());

  LogPause no_pause(std::chrono::seconds(0));
  CHECK(no_pause.count() == 1);
  CHECK(no_pause.count() == 1);
}
