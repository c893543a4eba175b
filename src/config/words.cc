// Log levels and thread counts.
#include "config/words.h"

#include <algorithm>
#include <array>

#include "base/ascii.h"

namespace layover::config {
namespace {

struct LevelName {
  std::string_view name;
  LogLevel level;
};

constexpr std::array<LevelName, 5> kLevels = {{{"trace", LogLevel::kTrace},
                                               {"debug", LogLevel::kDebug},
                                               {"info", LogLevel::kInfo},
                                               {"warning", LogLevel::kWarning},
                                               {"error", LogLevel::kError}}};

}  // namespace

std::optional<LogLevel> parse_log_level(std::string_view text) {
  const auto level = std::ranges::find(kLevels, text, &LevelName::name);
  if (level == kLevels.end()) return std::nullopt;
  return level->level;
}

std::vector<std::string_view> log_level_names() {
  std::vector<std::string_view> names(kLevels.size());
  std::ranges::transform(kLevels, names.begin(), &LevelName::name);
  return names;
}

std::optional<unsigned> parse_threads(std::string_view text, unsigned automatic) {
  if (text == "auto") return automatic;
  const auto threads = parse_decimal<unsigned>(text);
  return threads && *threads >= 1 && *threads <= kMostThreads ? threads : std::nullopt;
}

}  // namespace layover::config
