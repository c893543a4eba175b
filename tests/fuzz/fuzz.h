// What the fuzz targets share. A target is one file with one fuzz(), which is given any bytes and states what
// must hold for them; where something does not hold, the process ends, and libFuzzer keeps the input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <source_location>
#include <string_view>

namespace layover::fuzz {

/// The target. Called many times in one process, so nothing may be left over from one call to the next.
void fuzz(std::string_view input);

/// A property: ends the process unless it `holds`.
inline void require(bool holds, std::string_view property,
                    std::source_location where = std::source_location::current()) {
  if (holds) return;
  std::fprintf(stderr, "%s:%u: does not hold: %.*s\n", where.file_name(), where.line(),
               static_cast<int>(property.size()), property.data());
  std::abort();
}

/// A position to cut the input at, from 0 to its size. It depends on every byte, so that an input's
/// neighbours are cut elsewhere, while seeds stay plain messages that a person can read.
inline std::size_t cut_position(std::string_view input) {
  std::uint64_t hash = 14695981039346656037U;  // FNV-1a
  for (const char c : input) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
  return static_cast<std::size_t>((hash >> 16) % (input.size() + 1));
}

inline bool has_control_character(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return true;
  }
  return false;
}

}  // namespace layover::fuzz
