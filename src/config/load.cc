// From text to settings.
#include "config/load.h"

#include <string>
#include <utility>

#include "config/document.h"
#include "config/read_settings.h"
#include "config/report.h"
#include "config/well_known.h"

namespace layover::config {
namespace {

constexpr Bytes kMostText = 4_MiB;

// "" for a file in the working directory, so that relative paths stay as they are.
std::string directory_of(std::string_view file_name) {
  const auto slash = file_name.rfind('/');
  return std::string(slash == std::string_view::npos ? "" : file_name.substr(0, slash + 1));
}

}  // namespace

Settings default_settings(const Environment& environment) {
  Settings settings;
  settings.threads = environment.processors;
  settings.registries = well_known_registries(Times{});
  return settings;
}

std::expected<Settings, Problems> load_text(std::string_view text, std::string_view file_name,
                                            const Environment& environment) {
  Report report(file_name);
  Settings settings = default_settings(environment);
  if (const auto root = read_document(text, report)) {
    read_settings(*root, ReadContext{environment, directory_of(file_name)}, report, settings);
  }
  if (!report.is_empty()) return std::unexpected(report.take());
  return settings;
}

std::expected<Settings, Problems> load_file(const std::string& path, const Environment& environment) {
  const auto text = read_file(*environment.files, path, kMostText);
  if (!text) return std::unexpected(Problems{{path, 0, 0, "", text.error().describe()}});
  return load_text(*text, path, environment);
}

}  // namespace layover::config
