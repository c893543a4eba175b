// TaskGroup: it starts, owns, counts and cancels tasks.
#include "net/task_group.h"

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "net/event.h"
#include "net/wait.h"
#include "tests/support/catch.h"
#include "tests/support/test_loop.h"

using layover::Deadline;
using layover::net::Event;
using layover::net::next_turn;
using layover::net::sleep_until;
using layover::net::Task;
using layover::net::TaskGroup;
using layover::test::TestLoop;
using std::chrono::milliseconds;

namespace {

Task<void> note(std::vector<int>& order, int number) {
  order.push_back(number);
  co_return;
}

Task<void> wait_then_note(Event& event, std::vector<int>& order, int number) {
  co_await event.wait();
  order.push_back(number);
}

Task<void> hold(std::shared_ptr<int> held, Event& event) {
  co_await event.wait();
  ++*held;
}

Task<void> spawn_more(TaskGroup& group, std::vector<int>& order) {
  for (int i = 0; i < 3; ++i) group.spawn(note(order, i));
  order.push_back(100);
  co_return;
}

Task<bool> drain(TaskGroup& group, Deadline deadline) { co_return co_await group.drained(deadline); }

Task<void> hop(int turns, int& ended) {
  for (int i = 0; i < turns; ++i) co_await next_turn();
  ++ended;
}

}  // namespace

TEST_CASE("a group's tasks start from the ready queue, in order, not inside spawn") {
  TestLoop loop;
  TaskGroup group(loop.loop());
  std::vector<int> order;
  for (int i = 0; i < 3; ++i) group.spawn(note(order, i));
  CHECK(order.empty());
  CHECK(group.size() == 3);
  loop.run_for(milliseconds(1));
  CHECK(order == std::vector<int>{0, 1, 2});
  CHECK(group.size() == 0);
}

TEST_CASE("a task may spawn others in its own group") {
  TestLoop loop;
  TaskGroup group(loop.loop());
  std::vector<int> order;
  group.spawn(spawn_more(group, order));
  loop.run_for(milliseconds(1));
  CHECK(order == std::vector<int>{100, 0, 1, 2});
}

TEST_CASE("a finished task's frame is freed at once, not with the group") {
  TestLoop loop;
  TaskGroup group(loop.loop());
  Event event;
  auto held = std::make_shared<int>(0);
  group.spawn(hold(held, event));
  loop.run_for(milliseconds(1));
  CHECK(held.use_count() == 2);
  event.notify();
  loop.run_for(milliseconds(1));
  CHECK(*held == 1);
  CHECK(held.use_count() == 1);
}

TEST_CASE("destroying the group cancels what runs, what stands ready and what never began") {
  TestLoop loop;
  Event never;
  Event ready;
  auto held = std::make_shared<int>(0);
  {
    TaskGroup group(loop.loop());
    group.spawn(hold(held, never));
    group.spawn(hold(held, ready));
    loop.run_for(milliseconds(1));
    ready.notify();
    group.spawn(hold(held, never));
    CHECK(held.use_count() == 4);
  }
  CHECK(held.use_count() == 1);
  loop.run_for(milliseconds(1));
  CHECK(*held == 0);
}

TEST_CASE("a group that is destroyed while a finished task waits to be erased is fine") {
  TestLoop loop;
  auto group = std::make_optional<TaskGroup>(loop.loop());
  int ended = 0;
  group->spawn(hop(0, ended));
  // Ends in the same pass of the ready queue, before the group erases the first task.
  TaskGroup other(loop.loop());
  other.spawn([](std::optional<TaskGroup>& target) -> Task<void> {
    target.reset();
    co_return;
  }(group));
  loop.run_for(milliseconds(1));
  CHECK(ended == 1);
  CHECK_FALSE(group.has_value());
}

TEST_CASE("draining a group waits for its last task") {
  TestLoop loop;
  TaskGroup group(loop.loop());
  CHECK(loop.run(drain(group, Deadline::never())));
  int ended = 0;
  for (int i = 0; i < 10; ++i) group.spawn(hop(i, ended));
  CHECK(loop.run(drain(group, Deadline::never())));
  CHECK(ended == 10);
}

TEST_CASE("draining a group gives up at the deadline and may be tried again") {
  TestLoop loop;
  TaskGroup group(loop.loop());
  Event event;
  std::vector<int> order;
  group.spawn(wait_then_note(event, order, 1));
  CHECK_FALSE(loop.run(drain(group, Deadline::after(milliseconds(5)))));
  event.notify();
  CHECK(loop.run(drain(group, Deadline::after(milliseconds(1000)))));
  CHECK(order == std::vector<int>{1});
}

TEST_CASE("a drain that is dropped is forgotten by the group") {
  TestLoop loop;
  TaskGroup group(loop.loop());
  Event event;
  std::vector<int> order;
  group.spawn(wait_then_note(event, order, 1));
  {
    TaskGroup waiters(loop.loop());
    waiters.spawn([](TaskGroup& target) -> Task<void> { co_await target.drained(Deadline::never()); }(group));
    loop.run_for(milliseconds(1));
  }
  event.notify();
  loop.run_for(milliseconds(1));
  CHECK(order == std::vector<int>{1});
}

TEST_CASE("cancelling a group drops its tasks at once, wakes who drains it, and leaves it usable") {
  TestLoop loop;
  TaskGroup group(loop.loop());
  Event never;
  auto held = std::make_shared<int>(0);
  for (int i = 0; i < 3; ++i) group.spawn(hold(held, never));
  bool has_drained = false;
  TaskGroup waiters(loop.loop());
  waiters.spawn([](TaskGroup& target, bool& out) -> Task<void> {
    out = co_await target.drained(Deadline::never());
  }(group, has_drained));
  loop.run_for(milliseconds(1));
  group.cancel();
  CHECK(group.size() == 0);
  CHECK(held.use_count() == 1);
  loop.run_for(milliseconds(1));
  CHECK(has_drained);
  std::vector<int> order;
  group.spawn(note(order, 1));
  loop.run_for(milliseconds(1));
  CHECK(order == std::vector<int>{1});
  CHECK(group.size() == 0);
}
