// A file system in which every path is a file with the same text, so that a made-up configuration may name
// any file and none of the machine's is read.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"

namespace layover::fuzz {

class OneTextFiles final : public FileSystem {
 public:
  /// `text` outlives this.
  explicit OneTextFiles(std::string_view text) : text_(text) {}

  Result<UniqueFd> open(const std::string&, int, mode_t) override { return UniqueFd(); }
  Result<std::size_t> read_at(int, std::span<std::byte> data, std::uint64_t offset) override {
    const auto rest = text_.substr(std::min<std::size_t>(offset, text_.size()));
    const auto size = std::min(data.size(), rest.size());
    std::memcpy(data.data(), rest.data(), size);
    return size;
  }
  Result<FileStatus> status(const std::string&) override { return file(); }
  Result<FileStatus> status(int) override { return file(); }
  Result<FileSystemSpace> space(const std::string&) override { return unsupported(); }

  Result<void> write_at(int, std::span<const std::byte>, std::uint64_t) override { return unsupported(); }
  Result<void> sync_data(int) override { return unsupported(); }
  Result<void> sync_directory(const std::string&) override { return unsupported(); }
  Result<void> rename(const std::string&, const std::string&) override { return unsupported(); }
  Result<void> remove(const std::string&) override { return unsupported(); }
  Result<void> make_directories(const std::string&) override { return unsupported(); }
  Result<std::vector<std::string>> list(const std::string&) override { return unsupported(); }
  Result<void> set_attribute(int, const std::string&, std::string_view) override { return unsupported(); }
  Result<std::string> attribute(const std::string&, const std::string&) override { return unsupported(); }

 private:
  FileStatus file() const { return {.size = Bytes{text_.size()}}; }
  static std::unexpected<Error> unsupported() {
    return failure(ErrorCode::kUnsupported, ErrorSource::kDisk, "these files can only be read");
  }

  std::string_view text_;
};

}  // namespace layover::fuzz
