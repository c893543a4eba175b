// Opening a cache directory. All folders exist from the start, so that a commit makes none.
#include "cache/directory.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <functional>
#include <span>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"

namespace layover::cache {

namespace {

constexpr std::string_view kAside = "index.damaged-";
/// For whoever wants to know what happened; an index that is damaged each day must not fill the disk.
constexpr std::size_t kAsideKept = 2;

/// For people to look at; more tells them nothing new.
constexpr std::size_t kMostQuarantined = 16;
constexpr std::uint64_t kMostQuarantinedBytes = std::uint64_t{1} << 30;

constexpr long kCifsMagic = 0xFF534D42L;
constexpr long kSmb2Magic = 0xFE534D42L;
constexpr long kLustreMagic = 0x0BD00BD0L;
constexpr long kCephMagic = 0x00C36400L;

Result<void> check_file_system(const std::string& path) {
  struct statfs info{};
  if (::statfs(path.c_str(), &info) != 0) {
    return std::unexpected(system_error(errno, ErrorSource::kDisk, "looking at the file system of " + path));
  }
  constexpr std::array<long, 8> kShared{NFS_SUPER_MAGIC, SMB_SUPER_MAGIC, AFS_SUPER_MAGIC, V9FS_MAGIC,
                                        kCifsMagic,      kSmb2Magic,      kLustreMagic,    kCephMagic};
  const auto magic = static_cast<long>(static_cast<unsigned long>(info.f_type) & 0xFFFFFFFFUL);
  if (std::ranges::find(kShared, magic) == kShared.end()) return {};
  return failure(
      ErrorCode::kUnsupported, ErrorSource::kDisk,
      fmt::format("the cache directory {} is on a network file system, on which the index would not be "
                  "safe; put cache.path on a local disk",
                  path));
}

}  // namespace

Result<std::unique_ptr<Directory>> Directory::open(FileSystem& files, std::string path) {
  const auto explain = [&](const Error& error) {
    return std::unexpected(error.within(fmt::format("the cache directory {} cannot be used", path)));
  };
  std::unique_ptr<Directory> directory(new Directory(files, path));
  if (auto made = files.make_directories(path); !made) return explain(made.error());
  if (auto fits = check_file_system(path); !fits) return std::unexpected(fits.error());
  if (auto locked = directory->take_lock(); !locked) {
    if (locked.error().code() == ErrorCode::kBusy) return std::unexpected(locked.error());
    return explain(locked.error());
  }
  if (auto made = directory->make_folders(); !made) return explain(made.error());
  return directory;
}

Result<void> Directory::take_lock() {
  const std::string file = path_ + "/lock";
  auto fd = files_.open(file, O_RDWR | O_CREAT, 0640);
  if (!fd) return std::unexpected(fd.error());
  if (::flock(fd->get(), LOCK_EX | LOCK_NB) != 0) {
    const auto owner = read_file(files_, file, 4_KiB);
    return failure(
        ErrorCode::kBusy, ErrorSource::kDisk,
        fmt::format("the cache directory {} is in use by another layover: {}; stop it, or give this one a "
                    "cache.path of its own",
                    path_, owner && !owner->empty() ? *owner : "owner unknown"));
  }
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  const std::string owner = fmt::format("process {} on {}", ::getpid(), host.data());
  // It is for people: a full disk must not keep layover from starting.
  auto written = files_.write_at(fd->get(), std::as_bytes(std::span(owner)), 0);
  if (!written && written.error().code() != ErrorCode::kNoSpace) return written;
  if (written && ::ftruncate(fd->get(), static_cast<off_t>(owner.size())) != 0)
    return std::unexpected(system_error(errno, ErrorSource::kDisk, "writing " + file));
  lock_ = std::move(*fd);
  return {};
}

Result<void> Directory::make_folders() {
  if (auto made = files_.make_directories(path_ + "/fills"); !made) return made;
  for (const std::string_view algorithm : {"sha256", "sha512"}) {
    const std::string parent = fmt::format("{}/blobs/{}", path_, algorithm);
    for (unsigned i = 0; i < 256; ++i) {
      if (auto made = files_.make_directories(fmt::format("{}/{:02x}", parent, i)); !made) return made;
    }
    if (auto synced = files_.sync_directory(parent); !synced) return synced;
  }
  if (auto synced = files_.sync_directory(path_ + "/blobs"); !synced) return synced;
  return files_.sync_directory(path_);
}

Result<void> Directory::remake_folder_of(const oci::Digest& digest) const {
  const std::string folder = blob_folder(digest);
  log_warning("{} is no longer there and is made again", folder);
  if (auto made = files_.make_directories(folder); !made) return made;
  return files_.sync_directory(path_ + "/blobs/" + std::string(oci::algorithm_name(digest.algorithm())));
}

Result<void> Directory::remake_fills_folder() const {
  log_warning("{}/fills is no longer there and is made again", path_);
  return files_.make_directories(path_ + "/fills");
}

std::string Directory::content_folder(unsigned folder) const {
  return fmt::format("{}/blobs/{}/{:02x}", path_, algorithm_of(folder), folder % (kFolders / 2));
}

std::string Directory::blob_folder(const oci::Digest& digest) const {
  return fmt::format("{}/blobs/{}/{}", path_, oci::algorithm_name(digest.algorithm()),
                     digest.hex().substr(0, 2));
}

std::string Directory::blob_file(const oci::Digest& digest) const {
  return fmt::format("{}/{}", blob_folder(digest), digest.hex());
}

std::string Directory::new_fill_file(const oci::Digest& digest) const {
  return fmt::format("{}/fills/{}.{}", path_, digest.hex().substr(0, 16), Random::system().next_hex());
}

Result<void> Directory::quarantine(const Claim& claim) const {
  const oci::Digest& digest = claim.digest();
  const std::string folder = path_ + "/quarantine";
  if (auto made = files_.make_directories(folder); !made) return made;
  const std::string name = fmt::format("{}.{}", digest.hex(), Random::system().next_hex());
  auto moved = files_.rename(blob_file(digest), folder + "/" + name);
  if (!moved && moved.error().code() == ErrorCode::kNotFound) return {};
  if (moved) bound_quarantine(name);
  return moved;
}

void Directory::bound_quarantine(const std::string& newest) const {
  const std::string folder = path_ + "/quarantine";
  std::size_t kept = 0;
  std::uint64_t bytes = 0;
  const auto names = files_.list(folder).value_or(std::vector<std::string>());
  const auto keep = [&](const std::string& name) {
    const auto status = files_.status(folder + "/" + name);
    const bool fits =
        status && kept < kMostQuarantined && bytes + status->size.count <= kMostQuarantinedBytes;
    if (fits) {
      ++kept;
      bytes += status->size.count;
    } else if (auto removed = files_.remove(folder + "/" + name); !removed) {
      log_warning("{}", removed.error().describe());
    }
  };
  keep(newest);
  for (const std::string& name : names) {
    if (name != newest) keep(name);
  }
}

Result<std::string> Directory::set_index_aside() const {
  const auto now = std::chrono::system_clock::to_time_t(Clock::system().wall_now());
  std::string aside = fmt::format("{}/{}{:%Y%m%dT%H%M%SZ}", path_, kAside, fmt::gmtime(now));
  std::error_code ignored;
  std::filesystem::remove_all(aside, ignored);
  if (auto renamed = files_.rename(path_ + "/index", aside); !renamed)
    return std::unexpected(renamed.error());
  std::vector<std::string> kept;
  for (const std::string& name : files_.list(path_).value_or(std::vector<std::string>())) {
    if (name.starts_with(kAside)) kept.push_back(name);
  }
  std::ranges::sort(kept, std::greater<>());  // by time
  for (std::size_t i = kAsideKept; i < kept.size(); ++i) {
    std::filesystem::remove_all(path_ + "/" + kept[i], ignored);
  }
  return aside;
}

}  // namespace layover::cache
