// The one logging door of the program (requests have a log of their own, metrics/request_log.h). Lines go to
// standard error through a LineWriter: a caller never blocks; lines that do not fit are dropped, counted and
// told. Never log a credential, a token or a presigned query.
#pragma once

#include <string_view>
#include <utility>

#include <fmt/core.h>

namespace layover {

enum class LogLevel { kTrace, kDebug, kInfo, kWarning, kError };
/// One line of text, or one JSON object a line.
enum class LogFormat { kText, kJson };

/// Starts the writer thread. Call once in `main`; before it, lines go to standard error directly.
void start_logging(LogLevel level, LogFormat format);
/// Writes what is queued and ends the writer thread; gives up a standard error that is stuck.
void stop_logging();

/// Thread-safe.
void set_log_level(LogLevel level);
void set_log_format(LogFormat format);
bool is_logged(LogLevel level);
void log_line(LogLevel level, std::string_view message);

template <typename... Args>
void log(LogLevel level, fmt::format_string<Args...> format, Args&&... args) {
  if (is_logged(level)) log_line(level, fmt::format(format, std::forward<Args>(args)...));
}

template <typename... Args>
void log_debug(fmt::format_string<Args...> format, Args&&... args) {
  log(LogLevel::kDebug, format, std::forward<Args>(args)...);
}
template <typename... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  log(LogLevel::kInfo, format, std::forward<Args>(args)...);
}
template <typename... Args>
void log_warning(fmt::format_string<Args...> format, Args&&... args) {
  log(LogLevel::kWarning, format, std::forward<Args>(args)...);
}
template <typename... Args>
void log_error(fmt::format_string<Args...> format, Args&&... args) {
  log(LogLevel::kError, format, std::forward<Args>(args)...);
}

}  // namespace layover
