// Lines on their way out: order, bounds, and descriptors that are slow, stuck or broken.
#include "base/line_writer.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "tests/support/captured_output.h"
#include "tests/support/catch.h"

using namespace layover;
using namespace layover::test;
using std::chrono::milliseconds;

namespace {

LineWriterOptions of_capacity(Bytes capacity) {
  return {.capacity = capacity, .gather = milliseconds(0), .on_dropped = {}};
}

std::uint64_t count_lines(std::string_view text) {
  return static_cast<std::uint64_t>(std::ranges::count(text, '\n'));
}

}  // namespace

TEST_CASE("lines come out whole and in their order") {
  CapturedOutput output;
  {
    LineWriter writer(output.fd(), {});
    for (int i = 0; i < 1000; ++i) writer.add(fmt::format("line {}", i));
  }
  const auto lines = output.lines();
  REQUIRE(lines.size() == 1000);
  for (std::size_t i = 0; i < lines.size(); ++i) CHECK(lines[i] == fmt::format("line {}", i));
}

TEST_CASE("lines of several threads are never mixed") {
  constexpr int kLines = 2000;
  CapturedOutput output;
  std::uint64_t dropped = 0;
  {
    LineWriter writer(output.fd(), {});
    {
      std::vector<std::jthread> threads;
      for (const char letter : {'a', 'b', 'c'}) {
        threads.emplace_back([&writer, letter] {
          for (int i = 0; i < kLines; ++i) writer.add(std::string(100, letter));
        });
      }
    }
    dropped = writer.dropped();
  }
  const auto lines = output.lines();
  CHECK(lines.size() + dropped == 3 * kLines);
  CHECK(std::ranges::all_of(lines, [](const std::string& line) {
    return line.size() == 100 && line.find_first_not_of(line[0]) == std::string::npos;
  }));
}

TEST_CASE("lines that may wait for others are written in the end") {
  CapturedOutput output;
  {
    LineWriter writer(output.fd(), {.capacity = 1_MiB, .gather = std::chrono::hours(1), .on_dropped = {}});
    writer.add("late");
  }
  CHECK(output.text() == "late\n");
}

TEST_CASE("a full buffer does not wait for the time to gather") {
  StuckPipe pipe;
  LineWriter writer(pipe.fd(), {.capacity = 1_KiB, .gather = std::chrono::hours(1), .on_dropped = {}});
  std::promise<std::string> first;
  std::jthread reader([&] {
    std::string text(600, '\0');
    const ssize_t n = ::read(pipe.reading_fd(), text.data(), text.size());
    first.set_value(text.substr(0, static_cast<std::size_t>(n)));
  });
  writer.add(std::string(511, 'x'));
  auto future = first.get_future();
  REQUIRE(future.wait_for(std::chrono::seconds(20)) == std::future_status::ready);
  CHECK(future.get() == std::string(511, 'x') + "\n");
}

TEST_CASE("what a stuck descriptor leaves no room for is dropped and counted, and adding never waits") {
  constexpr std::uint64_t kLines = 5000;
  StuckPipe pipe;
  std::uint64_t dropped = 0;
  std::uint64_t told = 0;
  {
    LineWriter writer(
        pipe.fd(),
        {.capacity = 64_KiB, .gather = milliseconds(0), .on_dropped = [&](auto lines) { told += lines; }});
    for (std::uint64_t i = 0; i < kLines; ++i)
      writer.add(std::string(99, 'x'));  // 500 kB: more than both hold
    CHECK(writer.dropped() > 0);
    const auto began = std::chrono::steady_clock::now();
    writer.close();
    CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds(5));
    dropped = writer.dropped();
    writer.add("too late");
    CHECK(writer.dropped() == dropped + 1);
  }
  CHECK(told == dropped);
  pipe.close_writing_end();
  CHECK(count_lines(pipe.read_all()) + dropped == kLines);
}

TEST_CASE("a slow reader gets all lines that fitted") {
  StuckPipe pipe;
  std::string text;
  std::uint64_t dropped = 0;
  {
    LineWriter writer(pipe.fd(), of_capacity(1_MiB));
    for (int i = 0; i < 5000; ++i) writer.add(std::string(99, 'x'));
    dropped = writer.dropped();
    std::jthread reader([&] { text = pipe.read_all(); });
    writer.close();
    pipe.close_writing_end();
  }
  CHECK(dropped == 0);
  CHECK(text.size() == 500'000);
}

TEST_CASE("a reader that has gone costs its lines and nothing else") {
  std::signal(SIGPIPE, SIG_IGN);  // as the program does
  StuckPipe pipe;
  pipe.close_reading_end();
  std::uint64_t told = 0;
  {
    LineWriter writer(
        pipe.fd(),
        {.capacity = 1_MiB, .gather = milliseconds(0), .on_dropped = [&](auto lines) { told += lines; }});
    for (int i = 0; i < 10; ++i) writer.add("nobody reads this");
  }
  CHECK(told == 10);
}

TEST_CASE("the word about dropped lines may go the same way") {
  std::signal(SIGPIPE, SIG_IGN);
  StuckPipe pipe;
  pipe.close_reading_end();
  LineWriter* self = nullptr;
  LineWriter writer(pipe.fd(), {.capacity = 1_MiB, .gather = milliseconds(0), .on_dropped = [&](auto lines) {
                                  self->add(fmt::format("{} lines were dropped", lines));
                                }});
  self = &writer;
  writer.add("nobody reads this");
  writer.close();
  CHECK(writer.dropped() >= 1);
}
