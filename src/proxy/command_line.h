// The command line: what is asked for, or why it cannot be understood.
#pragma once

#include <optional>
#include <string>

#include "config/load.h"

namespace layover::proxy {

enum class Command { kServe, kConfigCheck, kConfigShow, kHealthcheck };

struct CommandLine {
  Command command = Command::kServe;
  std::optional<std::string> config_file;                   // for serve and config show: from -c
  std::string checked_file;                                 // for config check
  bool is_json = false;                                     // for config show: for a machine, on one line
  config::Endpoint checked_admin = config::Admin{}.listen;  // for healthcheck
  config::Overrides overrides;
};

/// The program's exit statuses.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitWrong = 2;  // usage or configuration

/// Where parsing ends the program: for --help and --version with kExitOk, for wrong usage with kExitWrong.
struct Exit {
  int status;
};

/// Prints help, version or the usage error itself.
std::expected<CommandLine, Exit> parse_command_line(int argc, const char* const* argv,
                                                    const std::string& version);

}  // namespace layover::proxy
