// How a problem reads.
#include "config/problem.h"

#include <fmt/format.h>

#include "base/log_text.h"

namespace layover::config {

std::string to_string(const Problem& problem) {
  std::string text = problem.file;
  if (problem.line != 0) text += fmt::format(":{}:{}", problem.line, problem.column);
  for (const std::string* part : {&problem.path, &problem.message}) {
    if (part->empty()) continue;
    if (!text.empty()) text += ": ";
    text += *part;
  }
  // What the file says is in it, and it goes to a terminal.
  LogBuffer printable;
  append_printable(printable, text);
  return std::string(view(printable));
}

std::string to_string(const Problems& problems) {
  std::string text;
  for (const Problem& problem : problems) {
    text += to_string(problem);
    text += '\n';
  }
  return text;
}

}  // namespace layover::config
