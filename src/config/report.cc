// Collecting and ordering problems.
#include "config/report.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace layover::config {

void Report::add(Position position, std::string path, std::string message) {
  problems_.push_back({file_, position.line, position.column, std::move(path), std::move(message)});
}

Problems Report::take() {
  std::ranges::sort(problems_, {},
                    [](const Problem& p) { return std::tie(p.line, p.column, p.path, p.message); });
  return std::move(problems_);
}

}  // namespace layover::config
