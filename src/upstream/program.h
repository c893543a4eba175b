// Runs another program to its end: a question on its standard input, its answer from its standard output.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/deadline.h"
#include "base/error.h"

namespace layover::upstream {

/// What the program wrote, if it ended with status 0 by the deadline. `arguments` begins with the program: a
/// name to find in PATH, or a path. It runs in a process group of its own, which is killed at the deadline
/// and where it writes more than `most`; its standard error is discarded. Blocks: belongs on the pool.
/// Errors: kNotFound and others where it cannot be started, kTimeout, kTooLarge, kProtocol for another end.
/// They name the program and never its output, which may be a secret.
Result<std::string> run_program(const std::vector<std::string>& arguments, std::string_view input, Bytes most,
                                Deadline deadline);

}  // namespace layover::upstream
