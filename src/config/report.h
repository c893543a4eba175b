// Collects what is wrong with one configuration file.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "config/problem.h"

namespace layover::config {

/// Both from 1; the column counts characters.
struct Position {
  unsigned line = 1;
  unsigned column = 1;
};

class Report {
 public:
  explicit Report(std::string_view file) : file_(file) {}

  void add(Position position, std::string path, std::string message);

  bool is_empty() const { return problems_.empty(); }
  std::size_t size() const { return problems_.size(); }
  /// In the order of the file.
  Problems take();

 private:
  std::string file_;
  Problems problems_;
};

}  // namespace layover::config
