// Whoever reads a blob from the disk needs its file beside its connection, and a download needs a file and
// connections upstream: half of the descriptors are for those.
#include "proxy/descriptors.h"

#include <sys/resource.h>

#include <algorithm>

#include "cache/open_files.h"

namespace layover::proxy {

namespace {

/// The kernel's own bound on a process (fs.nr_open), where nobody has raised it.
constexpr rlim_t kMostDescriptors = rlim_t{1} << 20;

/// Of the process: listeners, logs, index and lock, admin connections, those that are being refused.
constexpr std::size_t kOwn = 128;
constexpr std::size_t kOwnPerLoop = 4 + cache::OpenFiles::kMost;

}  // namespace

void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t highest = std::min(limit.rlim_max, kMostDescriptors);
  if (limit.rlim_cur >= highest) return;
  limit.rlim_cur = highest;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

std::size_t descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  return std::min(limit.rlim_cur, kMostDescriptors);
}

std::size_t connections_for(std::size_t descriptors, unsigned loops) {
  // Of few descriptors half is kept, rather than all.
  const std::size_t own = std::min(kOwn + kOwnPerLoop * loops, descriptors / 2);
  return std::max<std::size_t>((descriptors - own) / 2, 1);
}

}  // namespace layover::proxy
