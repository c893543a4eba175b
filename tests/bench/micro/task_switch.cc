// What coroutines cost: a call that completes at once, and a turn from one task to another and back.
#include <benchmark/benchmark.h>

#include "net/event.h"
#include "tests/support/test_loop.h"

namespace {

using namespace layover;

net::Task<int> completes_at_once(int value) { co_return value; }

net::Task<void> call(benchmark::State& state) {
  for (auto _ : state) {
    const int value = co_await completes_at_once(1);
    benchmark::DoNotOptimize(value);
  }
}

void task_call(benchmark::State& state) {
  test::TestLoop loop;
  loop.run(call(state));
}
BENCHMARK(task_call);

struct Table {
  net::Event ping;
  net::Event pong;
};

net::Task<void> answer(Table& table) {
  for (;;) {
    co_await table.ping.wait();
    table.pong.notify();
  }
}

net::Task<void> play(benchmark::State& state, net::Loop& loop) {
  Table table;
  net::TaskGroup group(loop);
  group.spawn(answer(table));
  for (auto _ : state) {
    table.ping.notify();
    co_await table.pong.wait();
  }
}

/// Two switches by way of the loop's ready queue.
void task_switch_there_and_back(benchmark::State& state) {
  test::TestLoop loop;
  loop.run(play(state, loop.loop()));
}
BENCHMARK(task_switch_there_and_back);

}  // namespace
