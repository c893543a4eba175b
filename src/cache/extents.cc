// Merging.
#include "cache/extents.h"

#include <algorithm>
#include <iterator>

namespace layover::cache {

void Extents::add(ByteRange range) {
  if (range.empty()) return;
  auto next = ends_.upper_bound(range.begin);
  if (next != ends_.begin()) {
    const auto before = std::prev(next);
    if (before->second >= range.begin) {
      range.begin = before->first;
      range.end = std::max(range.end, before->second);
      total_ -= before->second - before->first;
      ends_.erase(before);
    }
  }
  while (next != ends_.end() && next->first <= range.end) {
    range.end = std::max(range.end, next->second);
    total_ -= next->second - next->first;
    next = ends_.erase(next);
  }
  ends_.emplace_hint(next, range.begin, range.end);
  total_ += range.length();
}

std::uint64_t Extents::end_from(std::uint64_t offset) const {
  const auto next = ends_.upper_bound(offset);
  if (next == ends_.begin()) return offset;
  return std::max(offset, std::prev(next)->second);
}

std::optional<std::uint64_t> Extents::next_from(std::uint64_t offset) const {
  if (end_from(offset) > offset) return offset;
  const auto next = ends_.upper_bound(offset);
  if (next == ends_.end()) return std::nullopt;
  return next->first;
}

std::uint64_t Extents::end_before(std::uint64_t offset) const {
  const auto next = ends_.upper_bound(offset);
  return next == ends_.begin() ? 0 : std::prev(next)->second;
}

std::vector<ByteRange> Extents::ranges() const {
  std::vector<ByteRange> ranges;
  ranges.reserve(ends_.size());
  for (const auto& [begin, end] : ends_) ranges.push_back({.begin = begin, .end = end});
  return ranges;
}

}  // namespace layover::cache
