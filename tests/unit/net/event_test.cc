// Event: a wake-up between two tasks of one loop that cannot be lost.
#include "net/event.h"

#include <vector>

#include "net/task_group.h"
#include "tests/support/catch.h"
#include "tests/support/test_loop.h"

using layover::net::Event;
using layover::net::next_turn;
using layover::net::Task;
using layover::net::TaskGroup;
using layover::test::TestLoop;
using std::chrono::milliseconds;

namespace {

Task<int> wait_times(Event& event, int times) {
  int woken = 0;
  for (; woken < times; ++woken) co_await event.wait();
  co_return woken;
}

Task<void> notify_each_turn(Event& event, int times) {
  for (int i = 0; i < times; ++i) {
    co_await next_turn();
    event.notify();
  }
}

Task<void> count_wakeups(Event& event, int& count) {
  for (;;) {
    co_await event.wait();
    ++count;
  }
}

}  // namespace

TEST_CASE("a notification that comes before the wait is kept, once") {
  TestLoop loop;
  Event event;
  event.notify();
  event.notify();
  CHECK(loop.run(wait_times(event, 1)) == 1);
  int count = 0;
  TaskGroup group(loop.loop());
  group.spawn(count_wakeups(event, count));
  loop.run_for(milliseconds(2));
  CHECK(count == 0);
}

TEST_CASE("each notification to a waiting task is one wake-up") {
  TestLoop loop;
  Event event;
  TaskGroup group(loop.loop());
  group.spawn(notify_each_turn(event, 1000));
  CHECK(loop.run(wait_times(event, 1000)) == 1000);
}

TEST_CASE("a waiter that is dropped after it was notified does not run, and the event stays usable") {
  TestLoop loop;
  Event event;
  int count = 0;
  {
    TaskGroup group(loop.loop());
    group.spawn(count_wakeups(event, count));
    loop.run_for(milliseconds(1));
    event.notify();
  }
  loop.run_for(milliseconds(1));
  CHECK(count == 0);
  event.notify();
  CHECK(loop.run(wait_times(event, 1)) == 1);
}
