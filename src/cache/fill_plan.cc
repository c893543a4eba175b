// Claims are short, so that a stream which reads on to the end leaves room for others on its way.
#include "cache/fill_plan.h"

#include <algorithm>
#include <limits>

namespace layover::cache {

std::uint64_t FillPlan::end_of_content() const {
  return size_ ? size_->count : std::numeric_limits<std::uint64_t>::max();
}

/// The first byte at or after `offset` that is received or claimed; the content's end where there is none.
std::uint64_t FillPlan::next_taken(std::uint64_t offset, Claims which) const {
  std::uint64_t taken = received_.next_from(offset).value_or(end_of_content());
  for (const Stream& stream : streams_) {
    const bool counts = stream.is_open || which == Claims::kAll;
    if (counts && stream.claimed.end > offset) {
      taken = std::min(taken, std::max(stream.claimed.begin, offset));
    }
  }
  return taken;
}

FillPlan::Handle FillPlan::start(ByteRange request) {
  const std::uint64_t claim = std::min(request.length(), kClaim);
  streams_.push_back({.claimed = {.begin = request.begin, .end = request.begin + claim},
                      .request_end = request.end,
                      .is_open = false});
  return std::prev(streams_.end());
}

void FillPlan::receive(Handle stream, std::uint64_t n) {
  received_.add({.begin = stream->claimed.begin, .end = stream->claimed.begin + n});
  stream->claimed.begin += n;
}

bool FillPlan::extend(Handle stream) {
  ByteRange& claimed = stream->claimed;
  if (claimed.empty() && stream->is_open) take_over(*stream);
  const std::uint64_t free_end = std::min(stream->request_end, next_taken(claimed.end, Claims::kAll));
  const std::uint64_t end = std::min(free_end, claimed.begin + kClaim);
  if (end <= claimed.end) return !claimed.empty();
  claimed.end = end;
  return true;
}

void FillPlan::take_over(Stream& by) {
  const std::uint64_t begin = by.claimed.end;
  for (Stream& stream : streams_) {
    if (stream.is_open || stream.claimed.empty() || stream.claimed.begin != begin) continue;
    by.claimed.end = std::max(by.claimed.end, std::min(by.request_end, stream.claimed.end));
    stream.claimed.begin = by.claimed.end;
  }
}

bool FillPlan::is_overtaken(Handle stream) const {
  return next_taken(stream->claimed.end, Claims::kOfOpenStreams) < stream->request_end;
}

void FillPlan::leave_to_others(Handle stream) const {
  stream->request_end =
      std::min(stream->request_end, next_taken(stream->claimed.end, Claims::kOfOpenStreams));
}

void FillPlan::end(Handle stream) { streams_.erase(stream); }

std::optional<ByteRange> FillPlan::free_from(std::uint64_t offset) const {
  while (offset < end_of_content()) {
    std::uint64_t next = received_.end_from(offset);
    for (const Stream& stream : streams_) {
      if (stream.claimed.begin <= next && next < stream.claimed.end) next = stream.claimed.end;
    }
    if (next == offset) return ByteRange{.begin = offset, .end = next_taken(offset, Claims::kAll)};
    offset = next;
  }
  return std::nullopt;
}

bool FillPlan::is_coming(std::uint64_t offset, std::uint64_t near) const {
  if (is_received(offset)) return true;
  return std::ranges::any_of(streams_, [&](const Stream& stream) {
    return stream.claimed.begin <= offset && offset < stream.request_end &&
           offset - stream.claimed.begin <= near && next_taken(stream.claimed.end, Claims::kAll) >= offset;
  });
}

}  // namespace layover::cache
