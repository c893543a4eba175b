// How many processors "auto" means.
#include "config/environment.h"

#include <cstdlib>
#include <optional>

#include "tests/support/catch.h"
#include "tests/unit/config/fixture.h"

using namespace layover::config;

namespace {

std::optional<unsigned> processors_under(const TemporaryDirectory& root) {
  return cgroup_processors(layover::FileSystem::system(), root.path());
}

}  // namespace

TEST_CASE("a quota is rounded up to whole processors") {
  CHECK(processors_from_cpu_max("100000 100000\n") == 1);
  CHECK(processors_from_cpu_max("150000 100000\n") == 2);
  CHECK(processors_from_cpu_max("200000 100000") == 2);
  CHECK(processors_from_cpu_max("1 100000") == 1);
  CHECK(processors_from_cpu_max("4294967295 1") == 4294967295U);
  for (const char* text :
       {"", "max 100000\n", "100000", "100000 ", "100000 0", "0 100000", "-1 100000", "x", "99999999999 1"}) {
    INFO(text);
    CHECK_FALSE(processors_from_cpu_max(text));
  }
}

TEST_CASE("the tightest quota on the way up the cgroups counts") {
  const TemporaryDirectory root;
  CHECK_FALSE(processors_under(root));
  root.write("proc/self/cgroup", "0::/system.slice/layover.service\n");
  CHECK_FALSE(processors_under(root));
  root.write("sys/fs/cgroup/system.slice/layover.service/cpu.max", "max 100000\n");
  CHECK_FALSE(processors_under(root));
  root.write("sys/fs/cgroup/system.slice/cpu.max", "250000 100000\n");
  CHECK(processors_under(root) == 3);
  root.write("sys/fs/cgroup/system.slice/layover.service/cpu.max", "400000 100000\n");
  CHECK(processors_under(root) == 3);
  root.write("sys/fs/cgroup/system.slice/layover.service/cpu.max", "50000 100000\n");
  CHECK(processors_under(root) == 1);
}

TEST_CASE("in a container the quota is at the root of the mount") {
  const TemporaryDirectory root;
  root.write("proc/self/cgroup", "0::/\n");
  root.write("sys/fs/cgroup/cpu.max", "200000 100000\n");
  CHECK(processors_under(root) == 2);
  root.write("proc/self/cgroup", "0::/../../host/path\n");
  CHECK(processors_under(root) == 2);
}

TEST_CASE("cgroups of version 1 have their quota in two files") {
  const TemporaryDirectory root;
  root.write("proc/self/cgroup", "12:memory:/a\n4:cpu,cpuacct:/a/b\n1:name=systemd:/a\nrubbish\n");
  root.write("sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", "-1\n");
  root.write("sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us", "100000\n");
  CHECK_FALSE(processors_under(root));
  root.write("sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", "350000\n");
  CHECK(processors_under(root) == 4);
}

TEST_CASE("the process's own environment has files, variables and a processor") {
  const auto environment = Environment::of_process();
  CHECK(environment.files == &layover::FileSystem::system());
  CHECK(environment.processors >= 1);
  CHECK(environment.variable("PATH") == std::string(std::getenv("PATH")));
  CHECK_FALSE(environment.variable("LAYOVER_NO_SUCH_VARIABLE"));
}
