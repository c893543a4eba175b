// Descriptors that a test gives to what writes lines: one that keeps all, and a pipe that can be stuck.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/unique_fd.h"

namespace layover::test {

/// A file in memory. What it holds may be looked at any time.
class CapturedOutput {
 public:
  CapturedOutput() : fd_(::memfd_create("captured", MFD_CLOEXEC)) {
    if (!fd_.is_open()) throw std::runtime_error("memfd_create failed");
  }

  int fd() const { return fd_.get(); }
  std::string text() const {
    std::string text;
    std::array<char, 65536> chunk{};
    for (ssize_t n = 0; (n = ::pread(fd_.get(), chunk.data(), chunk.size(), std::ssize(text))) > 0;) {
      text.append(chunk.data(), static_cast<std::size_t>(n));
    }
    return text;
  }
  std::vector<std::string> lines() const {
    std::vector<std::string> lines;
    std::istringstream stream(text());
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
  }

 private:
  UniqueFd fd_;
};

/// Nobody reads it, until `read_all`.
class StuckPipe {
 public:
  StuckPipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe2 failed");
    reading_ = UniqueFd(ends[0]);
    writing_ = UniqueFd(ends[1]);
  }

  int fd() const { return writing_.get(); }
  int reading_fd() const { return reading_.get(); }
  void close_reading_end() { reading_.close(); }
  void close_writing_end() { writing_.close(); }
  /// What is written until the writing ends are closed.
  std::string read_all() const {
    std::string text;
    std::array<char, 65536> chunk{};
    for (ssize_t n = 0; (n = ::read(reading_.get(), chunk.data(), chunk.size())) > 0;) {
      text.append(chunk.data(), static_cast<std::size_t>(n));
    }
    return text;
  }

 private:
  UniqueFd reading_;
  UniqueFd writing_;
};

}  // namespace layover::test
