// Sizes and byte ranges with their unit in the type, so that a count of bytes is never mistaken for
// anything else at a border between folders.
#pragma once

#include <compare>
#include <cstdint>

namespace layover {

/// A number of bytes.
struct Bytes {
  std::uint64_t count = 0;

  friend constexpr auto operator<=>(Bytes, Bytes) = default;
};

constexpr Bytes operator""_B(unsigned long long n) { return {n}; }
constexpr Bytes operator""_KiB(unsigned long long n) { return {n << 10}; }
constexpr Bytes operator""_MiB(unsigned long long n) { return {n << 20}; }
constexpr Bytes operator""_GiB(unsigned long long n) { return {n << 30}; }

/// The half-open byte range [begin, end) of some content.
struct ByteRange {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;

  constexpr std::uint64_t length() const { return end - begin; }
  constexpr bool empty() const { return begin >= end; }
  friend constexpr auto operator<=>(ByteRange, ByteRange) = default;
};

}  // namespace layover
