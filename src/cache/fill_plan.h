// Which part of a download each of its streams brings, and which bytes nobody is bringing yet. Pure: no
// network, no disk.
#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <utility>

#include "base/bytes.h"
#include "cache/extents.h"

namespace layover::cache {

/// Owned by one download; lives on its loop.
class FillPlan {
 public:
  /// How far a stream's claim reaches ahead of what it has received: others leave that to it.
  static constexpr std::uint64_t kClaim = std::uint64_t{16} << 20;

  /// A stream's place: what it has claimed and not received, and where its request ends.
  struct Stream {
    ByteRange claimed;
    std::uint64_t request_end = 0;
    bool is_open = false;  // until then nobody knows whether upstream gives it one more
  };
  /// Valid until end().
  using Handle = std::list<Stream>::iterator;

  /// Before the first stream. Without a size there is one stream, which ends where upstream does.
  void set_size(std::optional<Bytes> size) { size_ = size; }

  /// What need not be brought. Before the first stream.
  void set_received(Extents received) { received_ = std::move(received); }

  /// A stream that asks for `request`, which is free. It claims the first bytes of it.
  Handle start(ByteRange request);
  /// Whether upstream is answering the stream.
  void set_open(Handle stream, bool is_open) const { stream->is_open = is_open; }
  /// The stream has received the next `n` bytes, of those that it had claimed.
  void receive(Handle stream, std::uint64_t n);
  /// Claims what follows, as far as it is free and within its request; false where that is nothing. An open
  /// stream that has come to the claim of one that is not takes it over.
  bool extend(Handle stream);
  /// Whether others bring some of what the stream has asked for: it will be dropped in the middle.
  bool is_overtaken(Handle stream) const;
  /// The stream asks for no more than what nobody else brings.
  void leave_to_others(Handle stream) const;
  /// What it has not received is free again.
  void end(Handle stream);

  /// The first run of bytes at or after `offset` that are neither received nor claimed.
  std::optional<ByteRange> free_from(std::uint64_t offset) const;
  /// Whether the byte at `offset` is received, or some stream comes to it within `near` bytes.
  bool is_coming(std::uint64_t offset, std::uint64_t near) const;
  bool is_received(std::uint64_t offset) const { return received_.end_from(offset) > offset; }

  std::optional<Bytes> size() const { return size_; }
  std::size_t streams() const { return streams_.size(); }
  std::uint64_t received() const { return received_.total(); }
  bool is_whole() const { return size_ && received_.total() == size_->count; }

 private:
  std::uint64_t end_of_content() const;
  enum class Claims { kAll, kOfOpenStreams };
  std::uint64_t next_taken(std::uint64_t offset, Claims which) const;
  void take_over(Stream& by);

  std::optional<Bytes> size_;
  Extents received_;
  std::list<Stream> streams_;
};

}  // namespace layover::cache
