// The logging door: time, level and message, as text or JSON.
#include "base/log.h"

#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <memory>

#include "base/clock.h"
#include "base/line_writer.h"
#include "base/log_text.h"

namespace layover {

namespace {

std::atomic<LogLevel> current_level{LogLevel::kInfo};
std::atomic<LogFormat> current_format{LogFormat::kText};

// Changed only by start_logging and stop_logging, when `main` has no other thread running.
std::unique_ptr<LineWriter>& writer() {
  static std::unique_ptr<LineWriter> instance;
  return instance;
}

std::string_view name_of(LogLevel level) {
  switch (level) {
    case LogLevel::kTrace: return "trace";
    case LogLevel::kDebug: return "debug";
    case LogLevel::kInfo: return "info";
    case LogLevel::kWarning: return "warning";
    case LogLevel::kError: return "error";
  }
  return "info";
}

void format_line(LogBuffer& line, LogFormat format, LogLevel level, std::string_view message) {
  const WallTime now = Clock::system().wall_now();
  if (format == LogFormat::kText) {
    append_time(line, now);
    line.push_back(' ');
    append(line, name_of(level));
    line.push_back(' ');
    append_printable(line, message);
    return;
  }
  append(line, R"({"time":")");
  append_time(line, now);
  append(line, R"(","level":")");
  append(line, name_of(level));
  append(line, R"(","message":)");
  append_json_string(line, message);
  line.push_back('}');
}

}  // namespace

void start_logging(LogLevel level, LogFormat format) {
  set_log_level(level);
  set_log_format(format);
  // At once and not gathered: what it says last is what matters after a crash.
  writer() = std::make_unique<LineWriter>(
      STDERR_FILENO,
      LineWriterOptions{.capacity = 1_MiB, .gather = {}, .on_dropped = [](std::uint64_t lines) {
                          log_warning(
                              "{} lines of this log were dropped: standard error "
                              "is taken too slowly, or cannot be written",
                              lines);
                        }});
}

void stop_logging() {
  if (!writer()) return;
  writer()->close();  // its thread may log until here
  writer().reset();
}

void set_log_level(LogLevel level) { current_level.store(level, std::memory_order_relaxed); }

void set_log_format(LogFormat format) { current_format.store(format, std::memory_order_relaxed); }

bool is_logged(LogLevel level) { return level >= current_level.load(std::memory_order_relaxed); }

void log_line(LogLevel level, std::string_view message) {
  if (!is_logged(level)) return;
  LogBuffer line;
  format_line(line, current_format.load(std::memory_order_relaxed), level, message);
  if (const auto& started = writer()) {
    started->add(view(line));
  } else {
    fmt::print(stderr, "{}\n", view(line));
  }
}

}  // namespace layover
