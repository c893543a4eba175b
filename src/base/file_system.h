// The one door to the file system for everything that is stored, so that tests can make any step
// fail. The calls block, but for one: they belong on the offload pool or in start-up, never on a loop.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/unique_fd.h"

namespace layover {

struct FileStatus {
  Bytes size;
  bool is_directory = false;
};

/// Of the file system that a path is on.
struct FileSystemSpace {
  Bytes total;
  Bytes available;  // to a process without privileges
};

/// Thread-safe. Every failure has source kDisk; ENOENT is kNotFound, a full disk kNoSpace.
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  /// open(2); O_CLOEXEC is always added.
  virtual Result<UniqueFd> open(const std::string& path, int flags, mode_t mode) = 0;
  /// Opens for reading what can be opened without waiting for the disk, on a loop too. Nothing where that
  /// cannot be, whatever the reason: open() tells.
  virtual std::optional<UniqueFd> open_at_once(const std::string& /*path*/) { return std::nullopt; }
  /// Writes all of `data` at `offset`.
  virtual Result<void> write_at(int fd, std::span<const std::byte> data, std::uint64_t offset) = 0;
  /// Reads up to `data.size()` bytes at `offset`; 0 is the end of the file.
  virtual Result<std::size_t> read_at(int fd, std::span<std::byte> data, std::uint64_t offset) = 0;
  /// fdatasync(2). After a failure the file's content is unknown: drop it, never sync again.
  virtual Result<void> sync_data(int fd) = 0;
  virtual Result<void> sync_directory(const std::string& path) = 0;
  /// rename(2): replaces `to` at once or not at all.
  virtual Result<void> rename(const std::string& from, const std::string& to) = 0;
  /// Removing what is not there succeeds.
  virtual Result<void> remove(const std::string& path) = 0;
  /// Like `mkdir -p`.
  virtual Result<void> make_directories(const std::string& path) = 0;
  virtual Result<FileStatus> status(const std::string& path) = 0;
  virtual Result<FileStatus> status(int fd) = 0;
  /// The names in a directory, without "." and "..", in no order.
  virtual Result<std::vector<std::string>> list(const std::string& path) = 0;
  /// statvfs(3).
  virtual Result<FileSystemSpace> space(const std::string& path) = 0;
  /// Extended attributes; kUnsupported where the file system has none, kNotFound where unset.
  virtual Result<void> set_attribute(int fd, const std::string& name, std::string_view value) = 0;
  virtual Result<std::string> attribute(const std::string& path, const std::string& name) = 0;

  /// The system's file system; lives as long as the process.
  static FileSystem& system();
};

/// The whole of a small file, at most `limit`; kTooLarge above it.
Result<std::string> read_file(FileSystem& files, const std::string& path, Bytes limit);

}  // namespace layover
