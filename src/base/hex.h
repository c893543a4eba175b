// Lower-case hexadecimal, as digests and ids are written.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace layover {

/// Two digits for each byte.
inline void append_hex(std::string& text, std::span<const std::byte> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  const std::size_t begin = text.size();
  text.resize(begin + 2 * bytes.size());
  char* to = text.data() + begin;
  for (const std::byte byte : bytes) {
    const auto value = std::to_integer<unsigned>(byte);
    *to++ = kDigits[value >> 4];
    *to++ = kDigits[value & 15];
  }
}

}  // namespace layover
