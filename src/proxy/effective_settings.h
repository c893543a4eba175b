// The settings that a command line comes to: the file's, or the defaults, with what the flags say over them.
#pragma once

#include <expected>

#include "config/environment.h"
#include "config/problem.h"
#include "config/settings.h"
#include "proxy/command_line.h"

namespace layover::proxy {

/// Reads the file that -c names, else /etc/layover/layover.json if it is there. Blocks.
std::expected<config::Settings, config::Problems> effective_settings(const CommandLine& line,
                                                                     const config::Environment& environment);

}  // namespace layover::proxy
