// The loader: from the configuration file and the command line to Settings. Call at start-up: it reads
// files. Nothing is accepted and ignored; all problems are reported at once.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/environment.h"
#include "config/problem.h"
#include "config/settings.h"

namespace layover::config {

/// The settings where there is no file.
Settings default_settings(const Environment& environment);

/// `text` is JSON with comments. `file_name` is for messages, and its directory is where relative paths in
/// the file start. Problems are in the order of the file.
std::expected<Settings, Problems> load_text(std::string_view text, std::string_view file_name,
                                            const Environment& environment);

/// A file that cannot be read is a problem too.
std::expected<Settings, Problems> load_file(const std::string& path, const Environment& environment);

/// What the command line says, as typed. It wins over the file.
struct Overrides {
  std::vector<std::string> listen{};  // replace all listeners, keeping the first one's default registry
  std::optional<std::string> admin{};
  std::optional<std::string> cache{};
  std::optional<std::string> max_size{};
  std::optional<std::string> threads{};  // a number or "auto"
  std::optional<std::string> log_level{};
};

/// Checks the overrides by the same rules as the file and applies them. With problems, which name the flag,
/// the settings stay as they were.
[[nodiscard]] Problems apply(const Overrides& overrides, const Environment& environment, Settings& settings);

}  // namespace layover::config
