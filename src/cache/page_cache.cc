// The two ways of asking the kernel.
#include "cache/page_cache.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <memory>

namespace layover::cache {

namespace {

#ifdef SYS_cachestat
constexpr long kCachestat = SYS_cachestat;
#else
constexpr long kCachestat = 451;  // the same number on every architecture
#endif

struct CachestatRange {
  std::uint64_t offset;
  std::uint64_t length;
};
struct Cachestat {
  std::uint64_t cached;
  std::uint64_t dirty;
  std::uint64_t writeback;
  std::uint64_t evicted;
  std::uint64_t recently_evicted;
};

constexpr std::size_t kScratch = std::size_t{256} << 10;

std::atomic<bool> has_cachestat{true};

bool all_pages_cached(int fd, ByteRange range) {
  static const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  CachestatRange asked{.offset = range.begin, .length = range.length()};
  Cachestat found{};
  if (::syscall(kCachestat, fd, &asked, &found, 0) != 0) {
    // EPERM: a container's older seccomp profile.
    if (errno == ENOSYS || errno == EPERM) has_cachestat.store(false, std::memory_order_relaxed);
    return false;
  }
  const std::uint64_t pages = (range.end + page - 1) / page - range.begin / page;
  return found.cached >= pages;
}

bool reads_without_waiting(int fd, ByteRange range) {
  thread_local const auto scratch = std::make_unique_for_overwrite<std::byte[]>(kScratch);
  while (!range.empty()) {
    iovec part{.iov_base = scratch.get(), .iov_len = std::min<std::uint64_t>(kScratch, range.length())};
    const ssize_t n = ::preadv2(fd, &part, 1, static_cast<off_t>(range.begin), RWF_NOWAIT);
    if (n <= 0) return false;
    range.begin += static_cast<std::uint64_t>(n);
  }
  return true;
}

}  // namespace

bool is_in_memory(int fd, ByteRange range) {
  if (range.empty()) return true;
  if (has_cachestat.load(std::memory_order_relaxed)) {
    const bool is_cached = all_pages_cached(fd, range);
    if (is_cached || has_cachestat.load(std::memory_order_relaxed)) return is_cached;
  }
  return reads_without_waiting(fd, range);
}

void drop_from_memory(int fd, ByteRange range) {
  // Advice: where it is not taken, nothing is lost.
  (void)::posix_fadvise(fd, static_cast<off_t>(range.begin), static_cast<off_t>(range.length()),
                        POSIX_FADV_DONTNEED);
}

Result<void> bring_into_memory(int fd, ByteRange range) {
  const auto scratch = std::make_unique_for_overwrite<std::byte[]>(kScratch);
  while (!range.empty()) {
    const auto wanted = std::min<std::uint64_t>(kScratch, range.length());
    const ssize_t n = ::pread(fd, scratch.get(), wanted, static_cast<off_t>(range.begin));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return std::unexpected(system_error(errno, ErrorSource::kDisk, "reading a cached file"));
    if (n == 0)
      return failure(ErrorCode::kCorrupt, ErrorSource::kDisk, "a cached file is shorter than it was");
    range.begin += static_cast<std::uint64_t>(n);
  }
  return {};
}

}  // namespace layover::cache
