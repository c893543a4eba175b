// What the loader needs from the process around it, injectable for tests: files, environment variables
// and the number of processors.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/file_system.h"

namespace layover::config {

struct Environment {
  FileSystem* files;  // never null; outlives the environment
  std::function<std::optional<std::string>(const std::string& name)> variable;
  unsigned processors = 1;  // "threads": "auto": the affinity mask, limited by the cgroup's quota

  /// The process's own.
  static Environment of_process();
};

/// The CPU quota of the cgroups around this process (v2 or v1) in whole processors, rounded up; nothing
/// where there is no limit. `root` is put in front of /proc and /sys.
std::optional<unsigned> cgroup_processors(FileSystem& files, const std::string& root);

/// A quota as a cgroup v2 `cpu.max` file has it ("max 100000" or "150000 100000") in whole processors,
/// rounded up; nothing where there is no limit or the text is no quota.
std::optional<unsigned> processors_from_cpu_max(std::string_view text);

}  // namespace layover::config
