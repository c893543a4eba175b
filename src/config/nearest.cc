// Edit distance.
#include "config/nearest.h"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <vector>

#include "base/ascii.h"

namespace layover::config {
namespace {

// Keys are short; a longer word is no mistyped one, and comparing it would take long.
constexpr std::size_t kLongestWord = 64;

constexpr std::size_t kShortestBeginning = 3;

// Levenshtein's distance, letter case ignored.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (to_lower(a[i]) == to_lower(b[j]) ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::optional<std::string_view> nearest(std::string_view word, std::span<const std::string_view> words) {
  if (word.size() > kLongestWord) return std::nullopt;
  std::optional<std::string_view> best;
  std::size_t least = 1 + word.size() / 2;
  for (std::string_view candidate : words) {
    // The first half of a key is a way of naming it, however long the rest is.
    const bool is_beginning = word.size() >= kShortestBeginning && candidate.starts_with(word);
    const auto d = is_beginning ? 1 : distance(word, candidate);
    // Sharing not a single letter in place is no likeness, however short the words.
    if (d >= least || d >= candidate.size()) continue;
    least = d;
    best = candidate;
  }
  return best;
}

}  // namespace layover::config
