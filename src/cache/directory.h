// The cache directory: where things are, and that exactly one process owns it.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/file_system.h"
#include "base/unique_fd.h"
#include "cache/claims.h"
#include "oci/digest.h"

namespace layover::cache {

/// Immutable once opened; thread-safe. Holds the lock as long as it lives.
class Directory {
 public:
  /// Makes what is missing and takes the lock. Blocks: start-up only. The errors say what to do: kBusy (with
  /// the owner) for a locked directory, kIo for one that cannot be written, kUnsupported for a file system
  /// that the index cannot live on (NFS and the like).
  static Result<std::unique_ptr<Directory>> open(FileSystem& files, std::string path);

  const std::string& path() const { return path_; }
  FileSystem& files() const { return files_; }
  /// "<path>/blobs/sha256/ab/ab12..."
  std::string blob_file(const oci::Digest& digest) const;
  std::string blob_folder(const oci::Digest& digest) const;
  /// The folders of content, by number: 256 of each algorithm.
  static constexpr unsigned kFolders = 512;
  static std::string_view algorithm_of(unsigned folder) {
    return folder < kFolders / 2 ? "sha256" : "sha512";
  }
  std::string content_folder(unsigned folder) const;
  /// A new name for a partial download.
  std::string new_fill_file(const oci::Digest& digest) const;
  /// Whoever puts the file of a digest into place or takes it away holds its claim.
  Claims& claims() const { return claims_; }
  /// Makes a folder again that somebody has removed: that of a digest's file, or that of partial downloads.
  /// Blocks: pool only.
  Result<void> remake_folder_of(const oci::Digest& digest) const;
  Result<void> remake_fills_folder() const;
  /// Moves a stored file whose bytes are not what its name says to `quarantine/`, where the others make room
  /// for it: at most 16 files of 1 GiB in all are kept. Blocks: pool only.
  Result<void> quarantine(const Claim& claim) const;
  /// Where a start notes that it is opening the index, until it has.
  std::string opening_marker() const { return path_ + "/index.opening"; }
  /// The last copy of the index, where there is one.
  std::string index_copy() const { return path_ + "/index.copy"; }
  /// Moves a damaged index out of the way, to a name with the time. The last few are kept.
  Result<std::string> set_index_aside() const;

 private:
  Directory(FileSystem& files, std::string path) : files_(files), path_(std::move(path)) {}
  Result<void> take_lock();
  Result<void> make_folders();
  void bound_quarantine(const std::string& newest) const;

  FileSystem& files_;
  std::string path_;
  UniqueFd lock_;
  mutable Claims claims_;
};

}  // namespace layover::cache
