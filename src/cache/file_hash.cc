// A piece a job; with a pace, smaller ones, and a pause after each.
#include "cache/file_hash.h"

#include <fcntl.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "cache/hasher.h"
#include "cache/page_cache.h"
#include "net/offload.h"
#include "net/wait.h"

namespace layover::cache {

namespace {

constexpr std::size_t kChunk = std::size_t{256} << 10;
/// A job's share of a file: some tens of milliseconds of hashing.
constexpr std::uint64_t kPiece = std::uint64_t{32} << 20;
constexpr std::uint64_t kPacedPiece = std::uint64_t{1} << 20;

/// A file's digest in the making, handed from job to job.
struct Hashing {
  UniqueFd fd;
  Hasher hasher;
  std::uint64_t offset = 0;
  bool is_at_end = false;
  std::optional<Error> failure;
};

Hashing hash_piece(FileSystem& files, Hashing hashing, std::uint64_t size, bool spares_memory) {
  std::vector<std::byte> chunk(kChunk);
  const ByteRange piece{.begin = hashing.offset, .end = hashing.offset + size};
  const bool was_in_memory = !spares_memory || is_in_memory(hashing.fd.get(), piece);
  while (!hashing.is_at_end && !hashing.failure && hashing.offset < piece.end) {
    auto n = files.read_at(hashing.fd.get(), chunk, hashing.offset);
    if (!n) {
      hashing.failure = n.error();
    } else {
      hashing.hasher.update(std::span(chunk).first(*n));
      hashing.offset += *n;
      hashing.is_at_end = *n == 0;
    }
  }
  if (!was_in_memory) drop_from_memory(hashing.fd.get(), piece);
  return hashing;
}

}  // namespace

net::Task<Result<oci::Digest>> hash_file(FileSystem& files, std::string path, oci::Algorithm algorithm,
                                         HashPace pace) {
  auto fd = co_await net::offload(net::Work::kDisk, [&files, path] { return files.open(path, O_RDONLY, 0); });
  if (!fd) co_return std::unexpected(fd.error());
  Hashing hashing{
      .fd = std::move(*fd), .hasher = Hasher(algorithm), .offset = 0, .is_at_end = false, .failure = {}};
  const bool is_paced = pace.per_second.count > 0;
  while (!hashing.is_at_end && !hashing.failure) {
    const std::uint64_t before = hashing.offset;
    hashing = co_await net::offload(
        net::Work::kCompute,
        [&files, pace, size = is_paced ? kPacedPiece : kPiece, part = std::move(hashing)]() mutable {
          return hash_piece(files, std::move(part), size, pace.spares_memory);
        });
    if (!is_paced) continue;
    const double seconds =
        static_cast<double>(hashing.offset - before) / static_cast<double>(pace.per_second.count);
    co_await net::sleep_until(
        Deadline::after(std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000))));
  }
  if (hashing.failure) co_return std::unexpected(*hashing.failure);
  co_return hashing.hasher.finish();
}

}  // namespace layover::cache
