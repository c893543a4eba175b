// Lines on their way to a descriptor that may be slow or stuck: a bounded buffer, and a thread that writes
// it out in as few calls as the lines' rate allows. Both logs use it.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "base/bytes.h"
#include "base/deadline.h"

namespace layover {

struct LineWriterOptions {
  /// Of lines that wait to be written.
  Bytes capacity = 1_MiB;
  /// How long a line may wait for others, so that busy times cost one call for many lines.
  std::chrono::milliseconds gather{0};
  /// Called by the writer's thread now and then, and at the end, with the number of lines dropped since its
  /// last call. May add lines to this very writer.
  std::function<void(std::uint64_t)> on_dropped;
};

class LineWriter {
 public:
  /// `fd` stays open and stays the caller's; SIGPIPE must be ignored where it can break.
  LineWriter(int fd, LineWriterOptions options);
  LineWriter(const LineWriter&) = delete;
  LineWriter& operator=(const LineWriter&) = delete;
  ~LineWriter() { close(); }

  /// Writes what waits, and gives up a descriptor that does not take it within a second; then ends the
  /// thread. Lines that come later are dropped. For the owner; once is enough.
  void close();

  /// Adds a line, given without its end, or drops and counts it where there is no room. Never waits for the
  /// descriptor. Thread-safe.
  void add(std::string_view line);
  /// Lines that did not fit or could not be written, since the start. Thread-safe.
  std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  void run();
  bool take(std::string& batch);
  void write(std::string_view bytes);
  bool wait_writable();
  bool has_given_up();
  void tell_dropped();

  const int fd_;
  const LineWriterOptions options_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::string pending_;
  bool is_closed_ = false;  // nothing is taken any more

  std::atomic<bool> is_ending_{false};
  std::atomic<std::uint64_t> dropped_{0};
  // The writer's thread alone.
  std::uint64_t told_ = 0;
  Deadline next_telling_ = Deadline::after({});
  std::optional<Deadline> end_;
  std::thread thread_;
};

}  // namespace layover
