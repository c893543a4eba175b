// The command `serve`: a server from its start to its end, and what signals do to it.
#pragma once

#include "config/environment.h"
#include "proxy/command_line.h"

namespace layover::proxy {

/// Which layover this is, for those who ask it.
struct Build {
  const char* version;
  const char* revision;
};

/// For `main`, before it has any other thread: blocks signals for all of them. Returns the exit status:
/// 0 after SIGTERM or SIGINT, 1 where it cannot serve, 2 for a wrong configuration. A second signal ends the
/// process with 1. SIGHUP reloads.
int serve(const CommandLine& line, const config::Environment& environment, const Build& build);

}  // namespace layover::proxy
