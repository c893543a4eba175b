// One thing that is wrong with the configuration. All of them are collected and shown at once.
#pragma once

#include <string>
#include <vector>

namespace layover::config {

struct Problem {
  std::string file;     // empty for a flag of the command line
  unsigned line = 0;    // from 1; 0 where there is none (the file cannot be read, a flag)
  unsigned column = 0;  // from 1, in characters
  std::string path;     // `registries["docker.io"].url`, `listen[0].address`, `--listen`; empty: the whole
  std::string message;  // what was expected

  friend bool operator==(const Problem&, const Problem&) = default;
};

using Problems = std::vector<Problem>;

/// `file:line:column: key.path: what was expected`, without the parts that are missing: one line, in which
/// control characters are \xNN.
std::string to_string(const Problem& problem);
/// One a line.
std::string to_string(const Problems& problems);

}  // namespace layover::config
