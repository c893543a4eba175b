// Task: laziness, results, exceptions, cancellation at every suspension point, and chains and loops that
// do not grow the stack.
#include "net/task.h"

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "net/event.h"
#include "net/task_group.h"
#include "net/wait.h"
#include "tests/support/catch.h"
#include "tests/support/test_loop.h"

using layover::Deadline;
using layover::net::Event;
using layover::net::next_turn;
using layover::net::Task;
using layover::net::TaskGroup;
using layover::test::TestLoop;

namespace {

constexpr int kVeryMany = 2'000'000;

/// Writes its name when it dies.
class Tombstone {
 public:
  Tombstone(std::vector<std::string>& graveyard, std::string name)
      : graveyard_(graveyard), name_(std::move(name)) {}
  Tombstone(const Tombstone&) = delete;
  Tombstone& operator=(const Tombstone&) = delete;
  ~Tombstone() { graveyard_.push_back(name_); }

 private:
  std::vector<std::string>& graveyard_;
  std::string name_;
};

Task<int> give(int value) { co_return value; }

Task<int> mark_and_give(bool& has_begun, int value) {
  has_begun = true;
  co_return value;
}

Task<int> throw_at_once() {
  throw std::runtime_error("thrown inside");
  co_return 0;
}

Task<int> throw_after_a_turn() {
  co_await next_turn();
  throw std::runtime_error("thrown later");
}

Task<void> throw_nothing_given() {
  co_await next_turn();
  throw std::logic_error("no value");
}

Task<std::string> caught(Task<int> task) {
  try {
    const int value = co_await std::move(task);
    co_return std::to_string(value);
  } catch (const std::exception& error) {
    co_return error.what();
  }
}

Task<std::string> caught_void(Task<void> task) {
  try {
    co_await std::move(task);
  } catch (const std::exception& error) {
    co_return error.what();
  }
  co_return "nothing";
}

Task<std::unique_ptr<int>> give_owned(int value) { co_return std::make_unique<int>(value); }

Task<int> take_owned(int value) {
  auto owned = co_await give_owned(value);
  co_return *owned;
}

/// A value that can be moved only, without a default.
class MoveOnly {
 public:
  explicit MoveOnly(int value) : value_(value) {}
  MoveOnly(MoveOnly&&) noexcept = default;
  MoveOnly(const MoveOnly&) = delete;
  MoveOnly& operator=(const MoveOnly&) = delete;
  MoveOnly& operator=(MoveOnly&&) = delete;
  ~MoveOnly() = default;
  int value() const { return value_; }

 private:
  int value_;
};

Task<MoveOnly> give_move_only(int value) { co_return MoveOnly(value); }

Task<int> chain(int depth) {
  if (depth == 0) co_return 0;
  const int below = co_await chain(depth - 1);
  co_return below + 1;
}

Task<long> loop_of_tasks(int count) {
  long sum = 0;
  for (int i = 0; i < count; ++i) {
    const int value = co_await give(i & 1);
    sum += value;
  }
  co_return sum;
}

Task<void> wait_inside(std::vector<std::string>& graveyard, Event& event) {
  const Tombstone inner(graveyard, "inner");
  co_await event.wait();
  graveyard.emplace_back("inner went on");
}

Task<void> wait_in_the_middle(std::vector<std::string>& graveyard, Event& event) {
  const Tombstone middle(graveyard, "middle");
  co_await wait_inside(graveyard, event);
}

Task<void> wait_outside(std::vector<std::string>& graveyard, Event& event) {
  const Tombstone outer(graveyard, "outer");
  co_await wait_in_the_middle(graveyard, event);
}

Task<void> suspend_often(std::vector<std::string>& graveyard, int& reached) {
  const Tombstone first(graveyard, "first");
  for (reached = 1; reached < 5; ++reached) co_await next_turn();
  const Tombstone second(graveyard, "second");
  co_await next_turn();
  reached = 6;
}

}  // namespace

TEST_CASE("a task does nothing before it is awaited") {
  TestLoop loop;
  bool has_begun = false;
  auto task = mark_and_give(has_begun, 7);
  CHECK_FALSE(has_begun);
  CHECK(loop.run(std::move(task)) == 7);
  CHECK(has_begun);
}

TEST_CASE("a task that is never awaited runs nothing and frees its parameters") {
  std::vector<std::string> graveyard;
  auto marker = std::make_shared<Tombstone>(graveyard, "parameter");
  {
    auto task = [](std::shared_ptr<Tombstone> held) -> Task<void> {
      held.reset();
      co_return;
    }(std::move(marker));
    CHECK(graveyard.empty());
  }
  CHECK(graveyard == std::vector<std::string>{"parameter"});
}

TEST_CASE("results need only be movable") {
  TestLoop loop;
  CHECK(loop.run(take_owned(5)) == 5);
  CHECK(loop.run(give_move_only(9)).value() == 9);
}

TEST_CASE("an exception comes out where the task is awaited") {
  TestLoop loop;
  CHECK(loop.run(caught(throw_at_once())) == "thrown inside");
  CHECK(loop.run(caught(throw_after_a_turn())) == "thrown later");
  CHECK(loop.run(caught(give(3))) == "3");
  CHECK(loop.run(caught_void(throw_nothing_given())) == "no value");
}

TEST_CASE("an exception that is thrown deep down passes through every task above") {
  TestLoop loop;
  CHECK(loop.run(caught([](int) -> Task<int> {
    auto inner = throw_after_a_turn();
    co_return co_await std::move(inner);
  }(0))) == "thrown later");
}

TEST_CASE("moving a task moves its coroutine; assigning destroys the one that was there") {
  TestLoop loop;
  std::vector<std::string> graveyard;
  const auto hold = [](std::shared_ptr<Tombstone>, int value) -> Task<int> { co_return value; };
  auto first = hold(std::make_shared<Tombstone>(graveyard, "first"), 1);
  auto second = hold(std::make_shared<Tombstone>(graveyard, "second"), 2);
  first = std::move(second);
  CHECK(graveyard == std::vector<std::string>{"first"});
  CHECK(loop.run(std::move(first)) == 2);
  CHECK(graveyard == std::vector<std::string>{"first", "second"});
}

TEST_CASE("2 million tasks that complete at once, one after the other, do not grow the stack") {
  TestLoop loop;
  CHECK(loop.run(loop_of_tasks(kVeryMany)) == kVeryMany / 2);
}

TEST_CASE("a chain of 2 million tasks that complete at once does not grow the stack") {
  TestLoop loop;
  CHECK(loop.run(chain(kVeryMany)) == kVeryMany);
}

TEST_CASE("dropping a suspended task destroys what it awaits, the innermost first") {
  TestLoop loop;
  std::vector<std::string> graveyard;
  Event event;
  {
    TaskGroup group(loop.loop());
    group.spawn(wait_outside(graveyard, event));
    loop.run_for(std::chrono::milliseconds(1));
    CHECK(graveyard.empty());
  }
  CHECK(graveyard == std::vector<std::string>{"inner", "middle", "outer"});
  event.notify();  // reaches nobody
  loop.run_for(std::chrono::milliseconds(1));
  CHECK(graveyard.size() == 3);
}

TEST_CASE("a task whose event has come is dropped before it could go on") {
  TestLoop loop;
  std::vector<std::string> graveyard;
  Event event;
  {
    TaskGroup group(loop.loop());
    group.spawn(wait_outside(graveyard, event));
    loop.run_for(std::chrono::milliseconds(1));
    event.notify();  // now it stands in the ready queue
  }
  loop.run_for(std::chrono::milliseconds(1));
  CHECK(graveyard == std::vector<std::string>{"inner", "middle", "outer"});
}

TEST_CASE("a task can be dropped at each of its suspension points") {
  const int stop_at = GENERATE(1, 2, 3, 4, 5);
  TestLoop loop;
  std::vector<std::string> graveyard;
  int reached = 0;
  {
    TaskGroup group(loop.loop());
    group.spawn(suspend_often(graveyard, reached));
    loop.run_until([&] { return reached >= stop_at; });
  }
  CHECK(reached < 7);
  const bool has_both = reached >= 5;
  CHECK(graveyard.size() == (has_both ? 2 : 1));
  CHECK(graveyard.back() == "first");
}
