// KeyedTable: one value per key, whoever asks first, from four loops at once.
#include "net/keyed_table.h"

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "net/signal.h"
#include "net/task.h"
#include "tests/support/catch.h"
#include "tests/support/test_loop.h"

using layover::Deadline;
using layover::net::KeyedTable;
using layover::net::Signal;
using layover::net::Task;
using layover::test::LoopThread;

namespace {

/// One piece of work that several loops want done once.
struct Job {
  std::shared_ptr<Signal> done = std::make_shared<Signal>();
  std::mutex mutex;
  bool is_done = false;
};
using JobTable = KeyedTable<std::string, Job>;

/// What went on for one key.
struct Tally {
  std::atomic<int> running{0};
  std::atomic<int> worked{0};
  std::atomic<int> overlapped{0};
  std::atomic<int> forgotten{0};
};

/// Does the key's work, or waits until the one who does it is through.
Task<void> work_once(JobTable& table, std::string key, Tally& tally) {
  auto [job, is_new] = table.find_or_insert(key, [] { return std::make_shared<Job>(); });
  if (is_new) {
    ++tally.worked;
    if (tally.running.fetch_add(1) != 0) ++tally.overlapped;
    co_await layover::net::next_turn();
    tally.running.fetch_sub(1);
    table.erase(key, job);
    {
      const std::lock_guard lock(job->mutex);
      job->is_done = true;
    }
    job->done->notify();
    co_return;
  }
  for (;;) {
    const auto seen = job->done->version();
    {
      const std::lock_guard lock(job->mutex);
      if (job->is_done) co_return;
    }
    auto changed = co_await job->done->changed(seen, Deadline::after(std::chrono::seconds(30)));
    if (!changed) {
      ++tally.forgotten;
      co_return;
    }
  }
}

Task<int> work_often(JobTable& table, std::string key, Tally& tally, int times) {
  for (int i = 0; i < times; ++i) {
    co_await work_once(table, key, tally);
    co_await layover::net::next_turn();
  }
  co_return times;
}

}  // namespace

TEST_CASE("a key has the value that was inserted first") {
  KeyedTable<int, std::string> table;
  const auto first = table.find_or_insert(1, [] { return std::make_shared<std::string>("first"); });
  const auto second = table.find_or_insert(1, [] { return std::make_shared<std::string>("second"); });
  CHECK(first.second);
  CHECK_FALSE(second.second);
  CHECK(*second.first == "first");
  CHECK(table.find(1) == first.first);
  CHECK(table.find(2) == nullptr);
  CHECK(table.size() == 1);
}

TEST_CASE("making nothing inserts nothing") {
  KeyedTable<int, std::string> table;
  const auto none = table.find_or_insert(1, [] { return std::shared_ptr<std::string>(); });
  CHECK(none.first == nullptr);
  CHECK_FALSE(none.second);
  CHECK(table.size() == 0);
}

TEST_CASE("only the value that is still there is erased") {
  KeyedTable<int, std::string> table;
  const auto old = std::make_shared<std::string>("old");
  table.put(1, old);
  table.put(1, std::make_shared<std::string>("new"));
  table.erase(1, old);
  REQUIRE(table.find(1));
  CHECK(*table.find(1) == "new");
  table.erase_if([](const std::string& value) { return value == "new"; });
  CHECK(table.size() == 0);
}

TEST_CASE("on four loops only one at a time works for a key, and nobody who waits is forgotten") {
  JobTable table;
  std::vector<std::unique_ptr<LoopThread>> loops;
  for (unsigned i = 0; i < 4; ++i) loops.push_back(std::make_unique<LoopThread>(i));
  constexpr std::size_t kTasksPerLoop = 16;
  constexpr int kTimes = 50;
  const std::vector<std::string> keys{"a", "b", "c"};
  std::vector<Tally> tallies(keys.size());
  std::vector<std::future<int>> results;
  for (std::size_t i = 0; i < loops.size() * kTasksPerLoop; ++i) {
    const std::size_t key = i % keys.size();
    results.push_back(loops[i % loops.size()]->start(
        [&table, &keys, &tallies, key] { return work_often(table, keys[key], tallies[key], kTimes); }));
  }
  for (auto& result : results) CHECK(LoopThread::wait_for(std::move(result)) == kTimes);
  for (const Tally& tally : tallies) {
    CHECK(tally.worked > 0);
    CHECK(tally.overlapped == 0);
    CHECK(tally.forgotten == 0);
  }
  CHECK(table.size() == 0);
}

TEST_CASE("an update makes, changes and removes a value under one lock") {
  KeyedTable<std::string, int> table;
  const auto add = [&table](int by) {
    return table.update("key", [by](std::shared_ptr<int>& value) {
      if (value == nullptr) value = std::make_shared<int>(0);
      *value += by;
      const int now = *value;
      if (now == 0) value.reset();
      return now;
    });
  };
  CHECK(add(1) == 1);
  CHECK(add(2) == 3);
  CHECK(table.size() == 1);
  CHECK(add(-3) == 0);
  CHECK(table.size() == 0);
}
