// The logging door on spdlog's asynchronous logger. Control characters in a line are made visible, so
// that what a client sends cannot forge a line.
#include "base/log.h"

#include <atomic>
#include <memory>
#include <string>

#include <spdlog/async.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace layover {

namespace {

constexpr std::size_t kQueuedLines = 8192;

std::atomic<LogLevel> current_level{LogLevel::kInfo};

struct Writer {
  std::shared_ptr<spdlog::details::thread_pool> pool;
  std::shared_ptr<spdlog::logger> logger;
};

// Swapped only by start_logging and stop_logging, when `main` has no other thread running.
Writer& writer() {
  static Writer instance;
  return instance;
}

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kTrace: return spdlog::level::trace;
    case LogLevel::kDebug: return spdlog::level::debug;
    case LogLevel::kInfo: return spdlog::level::info;
    case LogLevel::kWarning: return spdlog::level::warn;
    case LogLevel::kError: return spdlog::level::err;
  }
  return spdlog::level::info;
}

std::string printable(std::string_view line) {
  std::string text;
  text.reserve(line.size());
  for (char c : line) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      text += fmt::format("\\x{:02x}", byte);
    } else {
      text += c;
    }
  }
  return text;
}

}  // namespace

void start_logging(LogLevel level) {
  set_log_level(level);
  Writer& w = writer();
  w.pool = std::make_shared<spdlog::details::thread_pool>(kQueuedLines, 1);
  w.logger =
      std::make_shared<spdlog::async_logger>("layover", std::make_shared<spdlog::sinks::stderr_sink_mt>(),
                                             w.pool, spdlog::async_overflow_policy::overrun_oldest);
  w.logger->set_level(spdlog::level::trace);
  w.logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
  w.logger->flush_on(spdlog::level::info);
}

void stop_logging() {
  Writer& w = writer();
  w.logger.reset();
  w.pool.reset();  // joins its thread after the queue is empty
}

void set_log_level(LogLevel level) { current_level.store(level, std::memory_order_relaxed); }

bool is_logged(LogLevel level) { return level >= current_level.load(std::memory_order_relaxed); }

void log_line(LogLevel level, std::string_view line) {
  if (!is_logged(level)) return;
  const std::string text = printable(line);
  if (const auto& logger = writer().logger) {
    logger->log(to_spdlog(level), "{}", text);
  } else {
    fmt::print(stderr, "{}\n", text);
  }
}

std::uint64_t dropped_log_lines() {
  const auto& pool = writer().pool;
  return pool ? pool->overrun_counter() : 0;
}

}  // namespace layover
