// The exact sum of the sizes of all files that were written through a file-system door, at every moment:
// a walk over directories that change meanwhile would count moved files twice or not at all.
#pragma once

#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

namespace layover::test {

/// Thread-safe.
class SizeLedger {
 public:
  std::uint64_t now() const {
    const std::lock_guard lock(mutex_);
    return sum_;
  }
  /// The highest that `now` has ever been.
  std::uint64_t peak() const {
    const std::lock_guard lock(mutex_);
    return peak_;
  }

  /// Counts only what is written from now on.
  void start_over() {
    const std::lock_guard lock(mutex_);
    sizes_.clear();
    sum_ = 0;
    peak_ = 0;
  }

  void wrote(int fd) {
    const std::lock_guard lock(mutex_);
    struct stat status{};
    if (::fstat(fd, &status) != 0 || status.st_nlink == 0) return;
    std::uint64_t& known = sizes_[status.st_ino];
    sum_ += static_cast<std::uint64_t>(status.st_size) - known;
    known = static_cast<std::uint64_t>(status.st_size);
    peak_ = std::max(peak_, sum_);
  }
  /// Runs `change`, which takes the file at `path` away: by removing it, or by replacing it.
  template <typename Change>
  auto take_away(const std::string& path, Change change) {
    const std::lock_guard lock(mutex_);
    struct stat status{};
    const bool is_there = ::stat(path.c_str(), &status) == 0;
    auto result = change();
    if (result && is_there) {
      const auto found = sizes_.find(status.st_ino);
      if (found != sizes_.end()) {
        sum_ -= found->second;
        sizes_.erase(found);
      }
    }
    return result;
  }

 private:
  mutable std::mutex mutex_;
  std::map<ino_t, std::uint64_t> sizes_;
  std::uint64_t sum_ = 0;
  std::uint64_t peak_ = 0;
};

}  // namespace layover::test
