// Chunks that come in order are hashed from memory, the others from the file once their turn has come.
#include "cache/fill_store.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace layover::cache {

namespace {

constexpr std::size_t kReadBack = std::size_t{256} << 10;
/// A job's share of reading back: readers and streams hear of progress in between.
constexpr std::uint64_t kMostReadBack = std::uint64_t{8} << 20;

}  // namespace

FillStore::FillStore(FileSystem& files, UniqueFd file, oci::Algorithm algorithm)
    : files_(&files), file_(std::move(file)), hasher_(algorithm) {}

Result<void> FillStore::store(std::vector<Chunk>& chunks) {
  std::ranges::sort(chunks, {}, &Chunk::offset);
  for (const Chunk& chunk : chunks) {
    const std::span<const std::byte> bytes(chunk.bytes.get(), chunk.length);
    if (auto result = files_->write_at(file_.get(), bytes, chunk.offset); !result) return result;
    written_.add(chunk.range());
    if (chunk.offset != hashed_) continue;
    hasher_.update(bytes);
    hashed_ += chunk.length;
  }
  return hash_from_file();
}

Result<void> FillStore::hash_from_file() {
  const std::uint64_t end = std::min(written_.end_from(hashed_), hashed_ + kMostReadBack);
  if (hashed_ < end) buffer_.resize(kReadBack);
  while (hashed_ < end) {
    const std::span<std::byte> into(buffer_.data(), std::min<std::uint64_t>(kReadBack, end - hashed_));
    const auto n = files_->read_at(file_.get(), into, hashed_);
    if (!n) return std::unexpected(n.error());
    if (*n == 0) {
      return failure(ErrorCode::kIo, ErrorSource::kDisk,
                     fmt::format("a partial download ends at byte {} although more was written", hashed_));
    }
    hasher_.update(into.first(*n));
    hashed_ += *n;
  }
  return {};
}

}  // namespace layover::cache
