// Words that mean the same in the file and on the command line.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "base/log.h"

namespace layover::config {

std::optional<LogLevel> parse_log_level(std::string_view text);
/// Most talkative first.
std::vector<std::string_view> log_level_names();

/// A number of threads, 1 to kMostThreads; `automatic` for "auto".
std::optional<unsigned> parse_threads(std::string_view text, unsigned automatic);
constexpr unsigned kMostThreads = 1024;

}  // namespace layover::config
