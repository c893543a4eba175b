// The process's environment, and how many processors it may use.
#include "config/environment.h"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <initializer_list>
#include <system_error>

namespace layover::config {
namespace {

// The kernel's files that are read here have a line or a few.
constexpr Bytes kSmallFile = 64_KiB;

std::optional<std::string> read_small(FileSystem& files, const std::string& path) {
  auto text = read_file(files, path, kSmallFile);
  if (!text) return std::nullopt;
  return std::move(*text);
}

unsigned affinity_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  // Fails on machines with more processors than the set holds.
  if (sched_getaffinity(0, sizeof set, &set) != 0) return CPU_SETSIZE;
  return static_cast<unsigned>(CPU_COUNT(&set));
}

// The path of the process's cgroup in a line of /proc/self/cgroup ("4:cpu,cpuacct:/a/b", "0::/a/b") if the
// line is about the processor controller; version 2 has an empty list of controllers.
std::optional<std::string_view> processor_cgroup(std::string_view line) {
  const auto first = line.find(':');
  const auto second = line.find(':', first + 1);
  if (first == std::string_view::npos || second == std::string_view::npos) return std::nullopt;
  std::string_view controllers = line.substr(first + 1, second - first - 1);
  const auto path = line.substr(second + 1);
  if (controllers.empty()) return path;
  while (!controllers.empty()) {
    const auto comma = controllers.find(',');
    if (controllers.substr(0, comma) == "cpu") return path;
    controllers.remove_prefix(comma == std::string_view::npos ? controllers.size() : comma + 1);
  }
  return std::nullopt;
}

std::optional<unsigned> quota_of(FileSystem& files, const std::string& directory) {
  if (const auto quota = read_small(files, directory + "/cpu.max")) return processors_from_cpu_max(*quota);
  // Version 1 has the same two numbers in two files, and -1 for no limit.
  auto quota = read_small(files, directory + "/cpu.cfs_quota_us");
  const auto period = read_small(files, directory + "/cpu.cfs_period_us");
  if (!quota || !period) return std::nullopt;
  while (quota->ends_with('\n')) quota->pop_back();
  return processors_from_cpu_max(*quota + " " + *period);
}

void keep_smaller(std::optional<unsigned>& least, std::optional<unsigned> value) {
  if (value) least = std::min(least.value_or(*value), *value);
}

// The tightest quota of a cgroup and those around it. Inside a container the path may be the host's, of
// which only the end of the walk, the mount's root, exists.
std::optional<unsigned> quota_upwards(FileSystem& files, const std::string& mount, std::string_view path) {
  std::optional<unsigned> least;
  while (path.ends_with('/')) path.remove_suffix(1);
  for (;;) {
    keep_smaller(least, quota_of(files, mount + std::string(path)));
    if (path.empty()) return least;
    const auto slash = path.rfind('/');
    path = path.substr(0, slash == std::string_view::npos ? 0 : slash);
  }
}

}  // namespace

Environment Environment::of_process() {
  FileSystem& files = FileSystem::system();
  Environment environment;
  environment.files = &files;
  environment.variable = [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return value;
  };
  const unsigned affinity = affinity_processors();
  environment.processors = std::max(1U, std::min(affinity, cgroup_processors(files, "").value_or(affinity)));
  return environment;
}

std::optional<unsigned> cgroup_processors(FileSystem& files, const std::string& root) {
  const auto memberships = read_small(files, root + "/proc/self/cgroup");
  if (!memberships) return std::nullopt;
  std::optional<unsigned> least;
  std::string_view rest = *memberships;
  while (!rest.empty()) {
    const auto line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    const auto path = processor_cgroup(line);
    if (!path) continue;
    // Version 2 is mounted at the first, version 1's controller at the others.
    for (const char* mount : {"/sys/fs/cgroup", "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"}) {
      keep_smaller(least, quota_upwards(files, root + mount, *path));
    }
  }
  return least;
}

std::optional<unsigned> processors_from_cpu_max(std::string_view text) {
  std::uint32_t quota = 0;
  std::uint32_t period = 0;
  const char* end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, quota);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != ' ') return std::nullopt;
  const auto second = std::from_chars(first.ptr + 1, end, period);
  if (second.ec != std::errc() || quota == 0 || period == 0) return std::nullopt;
  return (quota - 1) / period + 1;
}

}  // namespace layover::config
