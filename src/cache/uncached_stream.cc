// A fetcher brings what the file lacks, in order and with a fill's patience; the pieces of both are hashed by
// the pool and handed on.
#include "cache/uncached_stream.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "net/offload.h"

namespace layover::cache {

namespace {

/// The range's bytes that are not to be fetched: those of the file, and all that is not asked for.
Extents not_missing(const UncachedEnd& from, std::optional<Bytes> size, std::uint64_t begin,
                    std::uint64_t end) {
  Extents there = from.in_file;
  there.add({.begin = 0, .end = begin});
  if (size) there.add({.begin = end, .end = size->count});
  return there;
}

ByteRange within(ByteRange range, std::optional<Bytes> size) {
  if (!size) return {.begin = range.begin, .end = std::numeric_limits<std::uint64_t>::max()};
  return {.begin = range.begin, .end = std::min(range.end, size->count)};
}

bool reaches_end(ByteRange range, std::optional<Bytes> size) { return !size || range.end >= size->count; }

}  // namespace

UncachedStream::UncachedStream(const OwnWay& way, std::shared_ptr<FillState> fill, ByteRange wanted)
    : way_(way),
      fill_(std::move(fill)),
      from_(fill_->view().uncached),
      size_(fill_->view().size),
      wanted_(within(wanted, size_)),
      must_verify_(reaches_end(wanted_, size_)),
      source_(way.hand_over && way.hand_over->stream ? way.hand_over->source : way.source()),
      hashed_(from_->hashed),
      position_(must_verify_ ? std::min(hashed_, wanted_.begin) : wanted_.begin),
      offset_(wanted_.begin),
      progress_(fill_->key(), fill_->leader(), fill_->kind()),
      fetcher_(*way.loop, progress_, *source_, {.streams = 1, .patience = way.patience}, *way.extra) {
  if (must_verify_) hasher_.emplace(from_->hasher);
  Extents there = not_missing(*from_, size_, position_, wanted_.end);
  std::unique_ptr<SourceStream> opened;
  if (way.hand_over) opened = std::move(way.hand_over->stream);
  if (there.end_from(0) > 0) opened.reset();  // it brings what is not wanted
  fetcher_.start_missing(size_, std::move(there), std::move(opened));
}

bool UncachedStream::is_at(ByteRange range) const {
  return offset_ == range.begin && within(range, size_).end <= wanted_.end;
}

net::Task<Result<std::span<const std::byte>>> UncachedStream::next() {
  while (current_.chunk.range().end <= offset_) {
    drop(std::exchange(current_, {}));
    auto piece = co_await next_released();
    if (!piece) co_return std::unexpected(piece.error());
    if (piece->chunk.length == 0) co_return std::span<const std::byte>{};
    current_ = std::move(*piece);
  }
  const std::size_t used = offset_ - current_.chunk.offset;
  co_return std::span<const std::byte>(current_.chunk.bytes.get() + used, current_.chunk.length - used);
}

// The last bytes of the content only once its digest is verified.
net::Task<Result<UncachedStream::Piece>> UncachedStream::next_released() {
  for (;;) {
    auto piece = co_await next_hashed();
    if (!piece) co_return piece;
    const bool is_over = piece->chunk.length == 0;
    if (must_verify_ && !is_verified_ && (size_ ? position_ == size_->count : is_over)) {
      if (auto verified = verify(); !verified) co_return std::unexpected(verified.error());
    }
    if (size_) co_return piece;
    if (is_over) co_return std::exchange(held_, {});
    std::swap(held_, *piece);
    if (piece->chunk.length > 0) co_return piece;
  }
}

net::Task<Result<UncachedStream::Piece>> UncachedStream::next_hashed() {
  if (position_ >= wanted_.end) co_return Piece{};
  const std::uint64_t in_file = std::min(from_->in_file.end_from(position_), wanted_.end);
  Result<Piece> piece;
  if (in_file > position_) {
    piece = co_await read_file({.begin = position_, .end = in_file});
  } else {
    piece = co_await next_missing();
  }
  if (!piece) co_return piece;
  position_ += piece->chunk.length;
  if (!must_verify_ || position_ <= hashed_) co_return piece;
  co_return co_await hash(std::move(*piece));
}

net::Task<Result<UncachedStream::Piece>> UncachedStream::next_missing() {
  if (fetched_.empty()) {
    auto received = co_await fetcher_.next();
    if (!received) co_return std::unexpected(received.error());
    for (Chunk& chunk : *received) fetched_.push_back(std::move(chunk));
  }
  if (fetched_.empty()) co_return Piece{};
  Piece piece{.chunk = std::move(fetched_.front())};
  fetched_.pop_front();
  co_return piece;
}

net::Task<Result<UncachedStream::Piece>> UncachedStream::read_file(ByteRange range) {
  struct Read {
    Piece piece;
    Result<std::size_t> n;
  };
  const std::size_t length = std::min<std::uint64_t>(range.length(), Chunk::kCapacity);
  // The job shares the fill: it may outlive the reader.
  auto read = co_await net::offload(
      net::Work::kDisk, [&files = *way_.files, fill = fill_, begin = range.begin, length] {
        Read done{.piece = {.chunk = {.bytes = std::make_unique_for_overwrite<std::byte[]>(length),
                                      .offset = begin,
                                      .length = length},
                            .is_from_file = true},
                  .n = {}};
        done.n = files.read_at(fill->view().fd, {done.piece.chunk.bytes.get(), length}, begin);
        return done;
      });
  if (!read.n) co_return std::unexpected(read.n.error());
  if (*read.n == length) co_return std::move(read.piece);
  co_return failure(ErrorCode::kIo, ErrorSource::kDisk,
                    fmt::format("a partial download lacks bytes at {} that were written", range.begin));
}

net::Task<UncachedStream::Piece> UncachedStream::hash(Piece piece) {
  struct Hashed {
    Hasher hasher;
    Piece piece;
  };
  const std::uint64_t known = hashed_ - std::min(hashed_, piece.chunk.offset);
  auto done = co_await net::offload(
      net::Work::kCompute, [hasher = std::move(*hasher_), piece = std::move(piece), known]() mutable {
        hasher.update({piece.chunk.bytes.get() + known, piece.chunk.length - known});
        return Hashed{.hasher = std::move(hasher), .piece = std::move(piece)};
      });
  hasher_.emplace(std::move(done.hasher));
  hashed_ = done.piece.chunk.range().end;
  co_return std::move(done.piece);
}

Result<void> UncachedStream::verify() {
  const oci::Digest& wanted = fill_->key().digest;
  const oci::Digest found = hasher_->finish();
  is_verified_ = true;
  if (found == wanted) return {};
  way_.note_mismatch(source_->blame());
  return std::unexpected(wrong_digest(fill_->key(), found));
}

void UncachedStream::drop(Piece piece) {
  if (piece.is_from_file || piece.chunk.length == 0) return;
  std::vector<Chunk> chunks;
  chunks.push_back(std::move(piece.chunk));
  fetcher_.give_back(std::move(chunks));
}

}  // namespace layover::cache
