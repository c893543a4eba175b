// ClientLimits: who is served, who is told to come later, and that all is given back.
#include "proxy/client_limits.h"

#include <string>
#include <thread>
#include <vector>

#include "tests/support/catch.h"

using layover::net::IpAddress;
using layover::proxy::ClientLimits;
using Verdict = ClientLimits::Verdict;

namespace {

IpAddress address(const std::string& text) { return *IpAddress::parse(text); }

}  // namespace

TEST_CASE("connections beyond the total are refused until one ends") {
  ClientLimits limits({.total = 2, .per_client = 0});
  const auto first = limits.admit(address("10.0.0.1"));
  {
    const auto second = limits.admit(address("10.0.0.2"));
    CHECK(second.verdict() == Verdict::kServe);
    CHECK(limits.admit(address("10.0.0.3")).verdict() == Verdict::kTooMany);
    CHECK(limits.connections() == 2);
  }
  CHECK(limits.connections() == 1);
  CHECK(limits.admit(address("10.0.0.3")).verdict() == Verdict::kServe);
}

TEST_CASE("a client is refused its own surplus, others are served") {
  ClientLimits limits({.total = 10, .per_client = 1});
  const auto first = limits.admit(address("10.0.0.1"));
  CHECK(limits.admit(address("10.0.0.1")).verdict() == Verdict::kTooManyOfClient);
  CHECK(limits.admit(address("10.0.0.2")).verdict() == Verdict::kServe);
  CHECK(limits.connections() == 1);
}

TEST_CASE("one client is an IPv4 address in either form, or an IPv6 /64") {
  struct Case {
    std::string one;
    std::string other;
    bool is_same;
  };
  for (const Case& pair : std::vector<Case>{{"10.0.0.1", "::ffff:10.0.0.1", true},
                                            {"10.0.0.1", "10.0.0.2", false},
                                            {"::ffff:10.0.0.1", "::ffff:10.0.0.2", false},
                                            {"2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true},
                                            {"2001:db8:1:2::1", "2001:db8:1:3::1", false},
                                            {"::1", "127.0.0.1", false}}) {
    INFO(pair.one << " and " << pair.other);
    ClientLimits limits({.total = 10, .per_client = 1});
    const auto first = limits.admit(address(pair.one));
    CHECK((limits.admit(address(pair.other)).verdict() == Verdict::kTooManyOfClient) == pair.is_same);
  }
}

TEST_CASE("new bounds count the connections that there are") {
  ClientLimits limits({.total = 10, .per_client = 0});
  const auto first = limits.admit(address("10.0.0.1"));
  const auto second = limits.admit(address("10.0.0.1"));
  limits.set({.total = 10, .per_client = 2});
  CHECK(limits.admit(address("10.0.0.1")).verdict() == Verdict::kTooManyOfClient);
  limits.set({.total = 2, .per_client = 0});
  CHECK(limits.admit(address("10.0.0.2")).verdict() == Verdict::kTooMany);
  limits.set({.total = 3, .per_client = 3});
  CHECK(limits.admit(address("10.0.0.1")).verdict() == Verdict::kServe);
}

TEST_CASE("only so many are told at a time") {
  ClientLimits limits({.total = 1, .per_client = 0});
  const auto first = limits.admit(address("10.0.0.1"));
  std::vector<ClientLimits::Share> refused;
  for (int i = 0; i < 64; ++i) refused.push_back(limits.admit(address("10.0.0.2")));
  for (const auto& share : refused) CHECK(share.verdict() == Verdict::kTooMany);
  CHECK(limits.admit(address("10.0.0.2")).verdict() == Verdict::kDrop);
  refused.pop_back();
  CHECK(limits.admit(address("10.0.0.2")).verdict() == Verdict::kTooMany);
  CHECK(limits.connections() == 1);
}

TEST_CASE("a share is given back once, by whoever has it last") {
  ClientLimits limits({.total = 10, .per_client = 0});
  {
    auto first = limits.admit(address("10.0.0.1"));
    ClientLimits::Share moved = std::move(first);
    ClientLimits::Share assigned;
    assigned = std::move(moved);
    CHECK(limits.connections() == 1);
  }
  CHECK(limits.connections() == 0);
}

TEST_CASE("connections that come and go on many threads leave no count behind") {
  ClientLimits limits({.total = 1000, .per_client = 3});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&limits] {
      for (int i = 0; i < 20'000; ++i) {
        const auto one = limits.admit(address("10.0.0.1"));
        const auto other = limits.admit(address("10.0.0.2"));
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(limits.connections() == 0);
  limits.set({.total = 1000, .per_client = 1});
  CHECK(limits.admit(address("10.0.0.1")).verdict() == Verdict::kServe);
}
