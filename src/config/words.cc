// Log levels and formats, and thread counts.
#include "config/words.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "base/ascii.h"

namespace layover::config {
namespace {

template <typename T>
struct Word {
  std::string_view name;
  T value;
};

constexpr std::array kLevels = {Word{"trace", LogLevel::kTrace}, Word{"debug", LogLevel::kDebug},
                                Word{"info", LogLevel::kInfo}, Word{"warning", LogLevel::kWarning},
                                Word{"error", LogLevel::kError}};
constexpr std::array kFormats = {Word{"text", LogFormat::kText}, Word{"json", LogFormat::kJson}};

template <typename T, std::size_t Size>
std::optional<T> value_of(const std::array<Word<T>, Size>& words, std::string_view name) {
  const auto word = std::ranges::find(words, name, &Word<T>::name);
  if (word == words.end()) return std::nullopt;
  return word->value;
}

// Every value of the enumeration has its word.
template <typename T, std::size_t Size>
std::string_view name_of(const std::array<Word<T>, Size>& words, T value) {
  return std::ranges::find(words, value, &Word<T>::value)->name;
}

template <typename T, std::size_t Size>
std::vector<std::string_view> names_of(const std::array<Word<T>, Size>& words) {
  std::vector<std::string_view> names(Size);
  std::ranges::transform(words, names.begin(), &Word<T>::name);
  return names;
}

}  // namespace

std::optional<LogLevel> parse_log_level(std::string_view text) { return value_of(kLevels, text); }
std::string_view to_string(LogLevel level) { return name_of(kLevels, level); }
std::vector<std::string_view> log_level_names() { return names_of(kLevels); }

std::optional<LogFormat> parse_log_format(std::string_view text) { return value_of(kFormats, text); }
std::string_view to_string(LogFormat format) { return name_of(kFormats, format); }
std::vector<std::string_view> log_format_names() { return names_of(kFormats); }

std::optional<unsigned> parse_threads(std::string_view text, unsigned automatic) {
  if (text == "auto") return automatic;
  const auto threads = parse_decimal<unsigned>(text);
  return threads && *threads >= 1 && *threads <= kMostThreads ? threads : std::nullopt;
}

}  // namespace layover::config
