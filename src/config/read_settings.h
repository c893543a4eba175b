// The walk over the configuration file: which keys there are, in which section, and into which setting
// each goes. Adding a key means adding a line here (and to the contract).
#pragma once

#include <string>

#include "config/document.h"
#include "config/environment.h"
#include "config/report.h"
#include "config/settings.h"

namespace layover::config {

/// What reading needs besides the document.
struct ReadContext {
  const Environment& environment;
  std::string directory;  // where relative paths start; empty for the working directory

  std::string resolve(const std::string& path) const;
};

/// Reads the whole file over `settings`, which hold the defaults. The result is meaningful only if the
/// report is empty.
void read_settings(const Node& root, const ReadContext& context, Report& report, Settings& settings);

}  // namespace layover::config
