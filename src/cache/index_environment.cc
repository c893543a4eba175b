// What LMDB takes for granted is made so first: a lock file with all its blocks, since it is written through
// memory, where a full disk is a fault; and a data file as long as it says, since reading beyond is one.
#include "cache/index_environment.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <filesystem>

#include <fmt/format.h>

#include "base/log.h"
#include "base/unique_fd.h"
#include "cache/meta_pages.h"

namespace layover::cache {

namespace {

constexpr std::size_t kMapBytes = std::size_t{64} << 30;
constexpr std::size_t kLeastMapBytes = std::size_t{1} << 30;
constexpr unsigned kDatabases = 8;
/// A line of the processor's cache for each reader, and LMDB's own.
constexpr std::size_t kLockBytesPerReader = 64;
constexpr std::size_t kLockBytes = 4096;

std::unexpected<Error> corrupt(const std::string& what) {
  return failure(ErrorCode::kCorrupt, ErrorSource::kDisk, what);
}

Result<void> prepare_folder(const std::string& path) {
  std::error_code code;
  const auto status = std::filesystem::status(path, code);
  if (std::filesystem::exists(status) && !std::filesystem::is_directory(status)) {
    return corrupt(path + " is no directory");
  }
  std::filesystem::create_directories(path, code);
  if (code)
    return std::unexpected(system_error(code.value(), ErrorSource::kDisk, "making the directory " + path));
  const std::string data = path + "/data.mdb";
  const auto data_status = std::filesystem::status(data, code);
  if (std::filesystem::exists(data_status) && !std::filesystem::is_regular_file(data_status)) {
    return corrupt(data + " is no file");
  }
  return check_meta_pages(data);
}

/// The cache directory has one owner, so whatever another process has left in the lock file means nothing.
Result<void> prepare_lock(const std::string& file, unsigned readers) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(file, ignored)) std::filesystem::remove_all(file, ignored);
  const UniqueFd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640));
  if (fd.get() < 0) return std::unexpected(system_error(errno, ErrorSource::kDisk, "opening " + file));
  const auto size = static_cast<off_t>(kLockBytes + readers * kLockBytesPerReader);
  const int code = ::posix_fallocate(fd.get(), 0, size);
  if (code != 0) return std::unexpected(system_error(code, ErrorSource::kDisk, "making room for " + file));
  return {};
}

std::uint64_t pages_in_bytes(MDB_env* environment) {
  MDB_envinfo info{};
  MDB_stat stat{};
  mdb_env_info(environment, &info);
  mdb_env_stat(environment, &stat);
  return (info.me_last_pgno + 1) * stat.ms_psize;
}

/// Pages that are missing read as zeros then, which LMDB mostly takes for damage rather than dies of.
void complete(MDB_env* environment, const std::string& path) {
  mdb_filehandle_t fd = -1;
  struct stat status{};
  if (mdb_env_get_fd(environment, &fd) != MDB_SUCCESS || ::fstat(fd, &status) != 0) return;
  const auto wanted = static_cast<off_t>(pages_in_bytes(environment));
  if (status.st_size >= wanted) return;
  log_warning("{}/data.mdb has {} bytes where it should have {}: it may have been cut off", path,
              status.st_size, wanted);
  if (::ftruncate(fd, wanted) != 0) log_warning("and it cannot be made longer");
}

}  // namespace

Result<EnvironmentPointer> open_environment(const std::string& path, unsigned readers) {
  if (auto prepared = prepare_folder(path); !prepared) return std::unexpected(prepared.error());
  if (auto prepared = prepare_lock(path + "/lock.mdb", readers); !prepared)
    return std::unexpected(prepared.error());
  int code = MDB_SUCCESS;
  for (std::size_t map = kMapBytes; map >= kLeastMapBytes; map /= 2) {
    MDB_env* raw = nullptr;
    mdb_env_create(&raw);
    EnvironmentPointer environment(raw);
    mdb_env_set_mapsize(raw, map);
    mdb_env_set_maxdbs(raw, kDatabases);
    mdb_env_set_maxreaders(raw, readers);
    code = mdb_env_open(raw, path.c_str(), MDB_NOTLS, 0640);
    if (code == MDB_SUCCESS) {
      complete(raw, path);
      return environment;
    }
    if (code != ENOMEM) break;
  }
  return std::unexpected(lmdb_error(code, "opening the index in " + path));
}

// What a damaged page claims must not look like space that is used.
Bytes used_by(MDB_env* environment) {
  const std::uint64_t used = pages_in_bytes(environment);
  mdb_filehandle_t fd = -1;
  struct stat status{};
  if (mdb_env_get_fd(environment, &fd) != MDB_SUCCESS || ::fstat(fd, &status) != 0) return Bytes{used};
  return Bytes{std::min(used, static_cast<std::uint64_t>(status.st_size))};
}

}  // namespace layover::cache
