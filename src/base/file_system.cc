// The system's file system behind the door.
#include "base/file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>

#include <fmt/format.h>

namespace layover {

namespace {

std::unexpected<Error> disk_failure(int system_errno, std::string_view what) {
  if (system_errno == ENOTSUP || system_errno == ENOSYS) {
    return failure(ErrorCode::kUnsupported, ErrorSource::kDisk,
                   fmt::format("{}: not supported by this file system", what));
  }
  if (system_errno == ENODATA) {
    return failure(ErrorCode::kNotFound, ErrorSource::kDisk, fmt::format("{}: not set", what));
  }
  return std::unexpected(system_error(system_errno, ErrorSource::kDisk, what));
}

Result<void> checked(int result, std::string_view what) {
  if (result != 0) return disk_failure(errno, what);
  return {};
}

class SystemFileSystem final : public FileSystem {
 public:
  Result<UniqueFd> open(const std::string& path, int flags, mode_t mode) override {
    for (;;) {
      // O_NONBLOCK: what lies in a file's place, such as a pipe, must not be waited for.
      const int fd = ::open(path.c_str(), flags | O_CLOEXEC | O_NONBLOCK, mode);
      if (fd >= 0) return UniqueFd(fd);
      if (errno != EINTR) return disk_failure(errno, fmt::format("opening {}", path));
    }
  }

  // RESOLVE_CACHED: EAGAIN where a name on the way is not in memory.
  std::optional<UniqueFd> open_at_once(const std::string& path) override {
    if (!has_openat2_.load(std::memory_order_relaxed)) return std::nullopt;
    open_how how{.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK, .mode = 0, .resolve = RESOLVE_CACHED};
    const long fd = ::syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof how);
    if (fd >= 0) return UniqueFd(static_cast<int>(fd));
    // An older kernel, or a container's older seccomp profile.
    const bool is_refused = errno == ENOSYS || errno == EPERM || errno == EINVAL;
    if (is_refused) has_openat2_.store(false, std::memory_order_relaxed);
    return std::nullopt;
  }

  Result<void> write_at(int fd, std::span<const std::byte> data, std::uint64_t offset) override {
    while (!data.empty()) {
      const ssize_t n = ::pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset));
      if (n < 0) {
        if (errno == EINTR) continue;
        return disk_failure(errno, "writing a file");
      }
      data = data.subspan(static_cast<std::size_t>(n));
      offset += static_cast<std::uint64_t>(n);
    }
    return {};
  }

  Result<std::size_t> read_at(int fd, std::span<std::byte> data, std::uint64_t offset) override {
    for (;;) {
      const ssize_t n = ::pread(fd, data.data(), data.size(), static_cast<off_t>(offset));
      if (n >= 0) return static_cast<std::size_t>(n);
      if (errno != EINTR) return disk_failure(errno, "reading a file");
    }
  }

  Result<void> sync_data(int fd) override { return checked(::fdatasync(fd), "syncing a file"); }

  Result<void> sync_directory(const std::string& path) override {
    auto fd = open(path, O_RDONLY | O_DIRECTORY, 0);
    if (!fd) return std::unexpected(fd.error());
    return checked(::fsync(fd->get()), fmt::format("syncing the directory {}", path));
  }

  Result<void> rename(const std::string& from, const std::string& to) override {
    return checked(std::rename(from.c_str(), to.c_str()), fmt::format("renaming {} to {}", from, to));
  }

  Result<void> remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
      return disk_failure(errno, fmt::format("removing {}", path));
    }
    return {};
  }

  Result<void> make_directories(const std::string& path) override {
    std::error_code code;
    std::filesystem::create_directories(path, code);
    if (code) return disk_failure(code.value(), fmt::format("making the directory {}", path));
    return {};
  }

  Result<FileStatus> status(const std::string& path) override {
    struct stat result{};
    if (::stat(path.c_str(), &result) != 0) {
      return disk_failure(errno, fmt::format("looking at {}", path));
    }
    return to_status(result);
  }

  Result<FileStatus> status(int fd) override {
    struct stat result{};
    if (::fstat(fd, &result) != 0) return disk_failure(errno, "looking at an open file");
    return to_status(result);
  }

  Result<std::vector<std::string>> list(const std::string& path) override {
    auto fd = open(path, O_RDONLY | O_DIRECTORY, 0);
    if (!fd) return std::unexpected(fd.error().within(fmt::format("listing {}", path)));
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(::fdopendir(fd->get()), &::closedir);
    if (!directory) return disk_failure(errno, fmt::format("listing {}", path));
    (void)fd->release();  // closedir(3) closes it
    std::vector<std::string> names;
    while (const dirent* entry = ::readdir(directory.get())) {
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
    }
    return names;
  }

  Result<FileSystemSpace> space(const std::string& path) override {
    struct statvfs result{};
    if (::statvfs(path.c_str(), &result) != 0) {
      return disk_failure(errno, fmt::format("looking at the file system of {}", path));
    }
    return FileSystemSpace{.total = Bytes{result.f_blocks * result.f_frsize},
                           .available = Bytes{result.f_bavail * result.f_frsize}};
  }

  Result<void> set_attribute(int fd, const std::string& name, std::string_view value) override {
    return checked(::fsetxattr(fd, name.c_str(), value.data(), value.size(), 0),
                   fmt::format("setting the attribute {}", name));
  }

  Result<std::string> attribute(const std::string& path, const std::string& name) override {
    std::string value(4096, '\0');
    const ssize_t n = ::getxattr(path.c_str(), name.c_str(), value.data(), value.size());
    if (n < 0) return disk_failure(errno, fmt::format("reading the attribute {} of {}", name, path));
    value.resize(static_cast<std::size_t>(n));
    return value;
  }

 private:
  static FileStatus to_status(const struct stat& from) {
    return {.size = Bytes{static_cast<std::uint64_t>(from.st_size)}, .is_directory = S_ISDIR(from.st_mode)};
  }

  std::atomic<bool> has_openat2_{true};
};

}  // namespace

FileSystem& FileSystem::system() {
  static SystemFileSystem instance;
  return instance;
}

Result<std::string> read_file(FileSystem& files, const std::string& path, Bytes limit) {
  auto fd = files.open(path, O_RDONLY, 0);
  if (!fd) return std::unexpected(fd.error());
  std::string text;
  std::vector<std::byte> chunk(std::size_t{64} << 10);
  for (;;) {
    auto n = files.read_at(fd->get(), chunk, text.size());
    if (!n) return std::unexpected(n.error().within(fmt::format("reading {}", path)));
    if (*n == 0) return text;
    text.append(reinterpret_cast<const char*>(chunk.data()), *n);
    if (text.size() > limit.count) {
      return failure(ErrorCode::kTooLarge, ErrorSource::kDisk,
                     fmt::format("{} is larger than {} bytes", path, limit.count));
    }
  }
}

}  // namespace layover
