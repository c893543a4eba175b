// How many connections the descriptors are enough for.
#include "proxy/descriptors.h"

#include <sys/resource.h>

#include <algorithm>

#include "tests/support/catch.h"

using namespace layover::proxy;

TEST_CASE("half of the descriptors that layover does not need itself are for clients' connections") {
  CHECK(connections_for(1024, 2) == 256);
  CHECK(connections_for(20'000, 2) == 9676);
  CHECK(connections_for(1U << 20, 4) > 500'000);
}

TEST_CASE("few descriptors leave room for few connections, but for some") {
  CHECK(connections_for(64, 2) == 16);
  CHECK(connections_for(0, 2) == 1);
}

TEST_CASE("the limit is raised to the highest that is allowed") {
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit low{.rlim_cur = std::min<rlim_t>(before.rlim_max, 512), .rlim_max = before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &low) == 0);
  raise_descriptor_limit();
  CHECK(descriptor_limit() == std::min<rlim_t>(before.rlim_max, 1U << 20));
  ::setrlimit(RLIMIT_NOFILE, &before);
}
