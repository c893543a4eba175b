// The disk half of a download: writes chunks to the partial file, in whatever order they come, and hashes the
// content from its start as far as it is there. Blocks: used by one job of the pool at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file_system.h"
#include "base/unique_fd.h"
#include "cache/extents.h"
#include "cache/fill_fetcher.h"
#include "cache/hasher.h"

namespace layover::cache {

/// Movable: the job that works on it owns it.
class FillStore {
 public:
  FillStore(FileSystem& files, UniqueFd file, oci::Algorithm algorithm);

  /// What the file holds already, to be hashed in its turn. Before the first chunk.
  void adopt(Extents there) { written_ = std::move(there); }
  /// Writes the chunks and hashes what follows on what is hashed already, of the file at most some MiB.
  Result<void> store(std::vector<Chunk>& chunks);
  /// So many bytes from the start are hashed.
  std::uint64_t hashed() const { return hashed_; }
  /// What is in the file.
  const Extents& extents() const { return written_; }
  const Hasher& hasher() const { return hasher_; }
  /// Bytes that are in the file.
  std::uint64_t written() const { return written_.total(); }
  /// What is written follows on what is hashed: store() has something to do even without chunks.
  bool has_more_to_hash() const { return written_.end_from(hashed_) > hashed_; }
  /// The digest of what is hashed; ends the hashing.
  oci::Digest finish() { return hasher_.finish(); }

 private:
  Result<void> hash_from_file();

  FileSystem* files_;
  UniqueFd file_;
  Hasher hasher_;
  Extents written_;
  std::uint64_t hashed_ = 0;
  std::vector<std::byte> buffer_;  // for what is read back; empty until then
};

}  // namespace layover::cache
