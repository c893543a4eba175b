// The word that somebody meant who mistyped another.
#pragma once

#include <optional>
#include <span>
#include <string_view>

namespace layover::config {

/// The word of least edit distance; nothing where none is near enough to be a typing error.
std::optional<std::string_view> nearest(std::string_view word, std::span<const std::string_view> words);

}  // namespace layover::config
