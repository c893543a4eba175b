// Words that mean the same in the file and on the command line.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "base/log.h"

namespace layover::config {

std::optional<LogLevel> parse_log_level(std::string_view text);
std::string_view to_string(LogLevel level);
/// Most talkative first.
std::vector<std::string_view> log_level_names();

std::optional<LogFormat> parse_log_format(std::string_view text);
std::string_view to_string(LogFormat format);
std::vector<std::string_view> log_format_names();

/// A number of threads, 1 to kMostThreads; `automatic` for "auto".
std::optional<unsigned> parse_threads(std::string_view text, unsigned automatic);
constexpr unsigned kMostThreads = 1024;

/// What a Space is read from, for messages.
constexpr std::string_view kExpectedSpace = R"(a share or a size with its unit, such as "80%" or "100GiB")";

}  // namespace layover::config
