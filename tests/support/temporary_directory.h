// A directory of a test's own, removed with everything in it. In memory where the machine has room
// there: a cache directory has hundreds of folders, and what is tested is not the disk's speed.
#pragma once

#include <sys/xattr.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace layover::test {

class TemporaryDirectory {
 public:
  TemporaryDirectory() : path_(in_memory()) {
    if (path_.empty()) path_ = make_below(std::filesystem::temp_directory_path());
    if (path_.empty()) throw std::runtime_error("no temporary directory");
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::string& path() const { return path_; }

 private:
  /// Empty where none can be made.
  static std::string make_below(const std::filesystem::path& parent) {
    std::string pattern = (parent / "layover-test-XXXXXX").string();
    return ::mkdtemp(pattern.data()) == nullptr ? std::string() : pattern;
  }

  /// Empty where memory has no directory that would do: room, and extended attributes (Linux 6.6).
  static std::string in_memory() {
    constexpr std::uintmax_t kRoom = std::uintmax_t{512} << 20;
    std::error_code missing;
    const auto space = std::filesystem::space("/dev/shm", missing);
    if (missing || space.available < kRoom) return {};
    std::string path = make_below("/dev/shm");
    if (path.empty() || ::setxattr(path.c_str(), "user.test", "x", 1, 0) == 0) return path;
    std::filesystem::remove(path, missing);
    return {};
  }

  std::string path_;
};

/// How many entries a directory has.
inline std::size_t entries_in(const std::string& path) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    (void)entry;
    ++count;
  }
  return count;
}

}  // namespace layover::test
