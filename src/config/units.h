// Sizes and durations as people write them: always with a unit, never rounded.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace layover::config {

/// "250ms", "5m", "1h30m", "30d": whole numbers with ms, s, m, h or d, larger units first, each once; at
/// most 100 years. Nothing for any other text, a bare number included.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);

/// "512B", "32KiB", "5GiB" or "5Gi" (powers of 1024), "100GB" (powers of 1000), up to T. Nothing for any
/// other text, a bare number included.
std::optional<Bytes> parse_size(std::string_view text);

/// The shortest text that parse_duration() reads as this: "1h30m", "0s". Not negative.
std::string duration_text(std::chrono::milliseconds duration);
/// In the largest power of 1024 that divides it: "5GiB", "1025B".
std::string size_text(Bytes size);

}  // namespace layover::config
