// What the configuration's tests share: an environment of their own, and short ways to load a text and
// to look at its problems.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/load.h"
#include "tests/support/catch.h"

/// A directory that goes when it does.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "layover-config-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::string& path() const { return path_; }

  /// Writes a file, with the directories it needs, and gives its path.
  std::string write(const std::string& name, std::string_view content) const {
    const auto path = std::filesystem::path(path_) / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << content;
    return path.string();
  }

 private:
  std::string path_;
};

/// Three processors, and the variables that a test sets.
class TestEnvironment {
 public:
  std::map<std::string, std::string> variables;

  layover::config::Environment get() const {
    return {.files = &layover::FileSystem::system(),
            .variable = [this](const std::string& name) -> std::optional<std::string> {
              const auto entry = variables.find(name);
              if (entry == variables.end()) return std::nullopt;
              return entry->second;
            },
            .processors = 3};
  }
};

/// Loads a text that is expected to be right.
inline layover::config::Settings load(std::string_view text, const TestEnvironment& environment = {},
                                      std::string_view file = "layover.json") {
  auto settings = layover::config::load_text(text, file, environment.get());
  if (!settings) FAIL(layover::config::to_string(settings.error()));
  return std::move(*settings);
}

/// The problems of a text, as a user sees them, under the file name "f".
inline std::vector<std::string> problems_of(std::string_view text, const TestEnvironment& environment = {}) {
  const auto settings = layover::config::load_text(text, "f", environment.get());
  std::vector<std::string> lines;
  if (settings) return lines;
  for (const auto& problem : settings.error()) lines.push_back(layover::config::to_string(problem));
  return lines;
}

/// The one problem of a text; all of them, or "none", where it is not one.
inline std::string problem_of(std::string_view text, const TestEnvironment& environment = {}) {
  const auto lines = problems_of(text, environment);
  if (lines.empty()) return "none";
  std::string joined = lines.front();
  for (std::size_t i = 1; i < lines.size(); ++i) joined += "\n" + lines[i];
  return joined;
}

inline const layover::config::Registry& registry_in(const layover::config::Settings& settings,
                                                    std::string_view name) {
  const auto parsed = layover::oci::RegistryName::parse(name);
  REQUIRE(parsed);
  const auto* registry = settings.find(*parsed);
  REQUIRE(registry != nullptr);
  return *registry;
}
