// The small values: deadlines, ranges, descriptors, clocks, randomness.
#include <fcntl.h>
#include <unistd.h>

#include <set>
#include <string>
#include <utility>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/deadline.h"
#include "base/random.h"
#include "base/unique_fd.h"
#include "tests/support/catch.h"

using namespace layover;
using std::chrono::hours;
using std::chrono::milliseconds;

TEST_CASE("a deadline passes once, and never is never") {
  CHECK(Deadline::after(milliseconds(-1)).has_passed());
  CHECK_FALSE(Deadline::after(hours(1)).has_passed());
  CHECK_FALSE(Deadline::never().has_passed());
  CHECK(Deadline::never().is_never());
  const auto soon = Deadline::after(milliseconds(5));
  CHECK(earlier(soon, Deadline::never()) == soon);
  CHECK(earlier(Deadline::never(), soon) == soon);
}

TEST_CASE("sizes carry their unit") {
  CHECK(1_KiB == Bytes{1024});
  CHECK(1_MiB == Bytes{1024 * 1024});
  CHECK(2_B < 1_KiB);
  CHECK(ByteRange{.begin = 3, .end = 10}.length() == 7);
  CHECK(ByteRange{.begin = 3, .end = 3}.empty());
  CHECK(ByteRange{.begin = 4, .end = 3}.empty());
}

TEST_CASE("a descriptor has one owner and is closed with it") {
  const auto is_open = [](int fd) { return ::fcntl(fd, F_GETFD) >= 0; };
  int raw = -1;
  {
    UniqueFd first(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    raw = first.get();
    UniqueFd second(std::move(first));
    CHECK(second.get() == raw);
    UniqueFd third;
    CHECK_FALSE(third.is_open());
    third = std::move(second);
    CHECK(is_open(raw));
    UniqueFd& same = third;
    third = std::move(same);
    CHECK(is_open(raw));
  }
  CHECK_FALSE(is_open(raw));
  UniqueFd released(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  raw = released.release();
  CHECK_FALSE(released.is_open());
  CHECK(is_open(raw));
  ::close(raw);
}

TEST_CASE("random names are 16 hexadecimal digits and differ") {
  std::set<std::string> names;
  for (int i = 0; i < 1000; ++i) {
    const std::string name = Random::system().next_hex();
    CHECK(name.size() == 16);
    CHECK(name.find_first_not_of("0123456789abcdef") == std::string::npos);
    names.insert(name);
  }
  CHECK(names.size() == 1000);
}

TEST_CASE("the system's clock is somewhere in this century") {
  CHECK(Clock::system().wall_now() > WallTime(std::chrono::sys_days(std::chrono::year(2024) / 1 / 1)));
}
