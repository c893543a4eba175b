// Process figures from /proc and the resource calls.
#include "metrics/process.h"

#include <dirent.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <sstream>
#include <string>

namespace layover::metrics {
namespace {

std::string read_text(const char* path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

double read_cpu_seconds() {
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

Bytes read_resident_memory() {
  std::istringstream statm(read_text("/proc/self/statm"));
  std::uint64_t total_pages = 0;
  std::uint64_t resident_pages = 0;
  statm >> total_pages >> resident_pages;
  return {resident_pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE))};
}

std::uint64_t count_open_fds() {
  // Since Linux 6.2 the directory's size is the number of descriptors.
  struct stat status{};
  if (stat("/proc/self/fd", &status) == 0 && status.st_size > 0) {
    return static_cast<std::uint64_t>(status.st_size);
  }
  struct Close {
    void operator()(DIR* directory) const { closedir(directory); }
  };
  const std::unique_ptr<DIR, Close> directory(opendir("/proc/self/fd"));
  if (!directory) return 0;
  std::uint64_t entries = 0;
  while (readdir(directory.get()) != nullptr) ++entries;
  constexpr std::uint64_t kNotCounted = 3;  // ".", ".." and the descriptor of the directory itself
  return entries > kNotCounted ? entries - kNotCounted : 0;
}

std::uint64_t read_max_fds() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  return limit.rlim_cur;
}

double read_boot_time_seconds() {
  std::istringstream stat(read_text("/proc/stat"));
  for (std::string word; stat >> word;) {
    double seconds_since_epoch = 0;
    if (word == "btime" && stat >> seconds_since_epoch) return seconds_since_epoch;
  }
  return 0;
}

double read_start_time_seconds() {
  const std::string stat = read_text("/proc/self/stat");
  const std::size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return 0;
  // Field 22 of proc(5), in clock ticks since boot; field 3 follows the process's name.
  constexpr int kFieldsBefore = 22 - 3;
  std::istringstream fields(stat.substr(name_end + 1));
  std::string skipped;
  for (int i = 0; i < kFieldsBefore; ++i) fields >> skipped;
  double ticks = 0;
  fields >> ticks;
  return read_boot_time_seconds() + ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

}  // namespace

ProcessFigures read_process_figures() {
  static const double start_time_seconds = read_start_time_seconds();
  return {read_cpu_seconds(), read_resident_memory(), count_open_fds(), read_max_fds(), start_time_seconds};
}

}  // namespace layover::metrics
