// Which bytes of a content are there: a set of byte ranges.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/bytes.h"

namespace layover::cache {

/// A value; used by one thread at a time.
class Extents {
 public:
  /// Ranges that touch become one. What is there already may be added again.
  void add(ByteRange range);

  /// Where the run of bytes that holds `offset` ends; `offset` itself where that byte is not there.
  std::uint64_t end_from(std::uint64_t offset) const;
  /// The first byte that is there at or after `offset`.
  std::optional<std::uint64_t> next_from(std::uint64_t offset) const;
  /// Where the last run before `offset` ends, or the one that holds it; 0 where there is none.
  std::uint64_t end_before(std::uint64_t offset) const;
  std::uint64_t total() const { return total_; }
  /// In order, none touching.
  std::vector<ByteRange> ranges() const;

 private:
  std::map<std::uint64_t, std::uint64_t> ends_;  // by their begins; none touch
  std::uint64_t total_ = 0;
};

}  // namespace layover::cache
