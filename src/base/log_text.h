// What lines of the logs are made of: times, and texts of others made harmless, so that nothing that a client
// or a registry sends can forge a line, hide one from a parser or reach a terminal.
#pragma once

#include <string_view>

#include <fmt/format.h>

#include "base/clock.h"

namespace layover {

/// A line under construction: on the stack, without an allocation as long as it stays short.
using LogBuffer = fmt::basic_memory_buffer<char, 1024>;

inline std::string_view view(const LogBuffer& line) { return {line.data(), line.size()}; }
inline void append(LogBuffer& line, std::string_view text) {
  line.append(text.data(), text.data() + text.size());
}

/// RFC 3339 in UTC with milliseconds: "2026-01-02T03:04:05.678Z".
void append_time(LogBuffer& line, WallTime time);

/// A JSON string with its quotes (RFC 8259 7). Control characters, those of C1 too, are escaped; what is no
/// UTF-8 is replaced by U+FFFD.
void append_json_string(LogBuffer& line, std::string_view text);

/// In quotes, as printable ASCII: other bytes as \xNN, quotes and backslashes behind a backslash.
void append_quoted(LogBuffer& line, std::string_view text);

/// As it is, but for control characters, which become \xNN.
void append_printable(LogBuffer& line, std::string_view text);

}  // namespace layover
