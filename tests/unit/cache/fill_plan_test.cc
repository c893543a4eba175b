// Who brings which bytes of a download: none twice, none forgotten.
#include "cache/fill_plan.h"

#include <random>
#include <vector>

#include "tests/support/catch.h"

using namespace layover;
using layover::cache::FillPlan;

namespace {

constexpr std::uint64_t kClaim = FillPlan::kClaim;
constexpr std::uint64_t kSize = 10 * kClaim;

FillPlan plan_of(std::uint64_t size) {
  FillPlan plan;
  plan.set_size(Bytes{size});
  return plan;
}

}  // namespace

TEST_CASE("one stream brings everything, however often its claim has to grow") {
  FillPlan plan = plan_of(kSize);
  const auto stream = plan.start(*plan.free_from(0));
  std::uint64_t received = 0;
  while (plan.extend(stream)) {
    plan.receive(stream, std::min<std::uint64_t>(stream->claimed.length(), 1'000'000));
    received = plan.received();
  }
  CHECK(received == kSize);
  CHECK(plan.is_whole());
  plan.end(stream);
  CHECK_FALSE(plan.free_from(0));
}

TEST_CASE("a stream ends where another has begun") {
  FillPlan plan = plan_of(kSize);
  const auto first = plan.start(*plan.free_from(0));
  CHECK(plan.free_from(0) == ByteRange{.begin = kClaim, .end = kSize});
  const auto second = plan.start({.begin = 3 * kClaim, .end = 4 * kClaim});
  CHECK(plan.free_from(0) == ByteRange{.begin = kClaim, .end = 3 * kClaim});
  CHECK(plan.free_from(3 * kClaim) == ByteRange{.begin = 4 * kClaim, .end = kSize});
  while (plan.extend(first)) plan.receive(first, first->claimed.length());
  CHECK(plan.received() == 3 * kClaim);
  while (plan.extend(second)) plan.receive(second, second->claimed.length());
  CHECK(plan.received() == 4 * kClaim);
}

TEST_CASE("a stream is overtaken once another has a part of what it asked for") {
  FillPlan plan;
  plan.set_size(Bytes{100'000'000});
  const auto whole = plan.start({.begin = 0, .end = 100'000'000});
  CHECK_FALSE(plan.is_overtaken(whole));
  const auto part = plan.start({.begin = 50'000'000, .end = 60'000'000});
  CHECK_FALSE(plan.is_overtaken(whole));  // perhaps upstream gives it nothing
  plan.set_open(part, true);
  CHECK(plan.is_overtaken(whole));
  CHECK_FALSE(plan.is_overtaken(part));
  plan.leave_to_others(whole);
  CHECK(whole->request_end == 50'000'000);
  CHECK_FALSE(plan.is_overtaken(whole));
}

TEST_CASE("an open stream takes over the claim of one that is not, when it comes to it") {
  FillPlan plan = plan_of(kSize);
  const auto whole = plan.start({.begin = 0, .end = kSize});
  plan.set_open(whole, true);
  const auto waiting = plan.start({.begin = kClaim, .end = kClaim + 2'000'000});
  const auto open = plan.start({.begin = 3 * kClaim, .end = 4 * kClaim});
  plan.set_open(open, true);
  plan.receive(whole, kClaim - 1);
  REQUIRE(plan.extend(whole));
  CHECK(whole->claimed.end == kClaim);  // not before it is there
  plan.receive(whole, 1);
  REQUIRE(plan.extend(whole));
  CHECK(whole->claimed.begin == kClaim);
  CHECK(waiting->claimed.empty());
  CHECK_FALSE(plan.extend(waiting));
  plan.end(waiting);
  while (plan.extend(whole)) plan.receive(whole, whole->claimed.length());
  CHECK(plan.received() == 3 * kClaim);
}

TEST_CASE("a stream whose claim was taken over stays where that ended when the next one is taken over") {
  FillPlan plan = plan_of(kSize);
  const auto whole = plan.start({.begin = 0, .end = kSize});
  plan.set_open(whole, true);
  constexpr std::uint64_t kBetween = kClaim + 2'000'000;
  const auto later = plan.start({.begin = kBetween, .end = kBetween + 2'000'000});
  const auto earlier = plan.start({.begin = kClaim, .end = kBetween});
  for (const auto& claim : {earlier, later}) {
    plan.receive(whole, whole->claimed.length());
    REQUIRE(plan.extend(whole));
    CHECK(claim->claimed.empty());
  }
  CHECK(earlier->claimed == ByteRange{.begin = kBetween, .end = kBetween});
}

TEST_CASE("what a stream gives up is free again, what it has received is not") {
  FillPlan plan = plan_of(kSize);
  const auto stream = plan.start(*plan.free_from(0));
  plan.receive(stream, 1000);
  plan.end(stream);
  CHECK(plan.free_from(0) == ByteRange{.begin = 1000, .end = kSize});
  CHECK(plan.streams() == 0);
}

TEST_CASE("a byte is coming where it is there, or a stream is near and nothing lies between") {
  FillPlan plan = plan_of(kSize);
  const auto stream = plan.start(*plan.free_from(0));
  CHECK(plan.is_coming(0, 1000));
  CHECK(plan.is_coming(1000, 1000));
  CHECK_FALSE(plan.is_coming(1001, 1000));
  CHECK(plan.is_coming(kClaim + 5, 2 * kClaim));
  plan.receive(stream, 5000);
  CHECK(plan.is_coming(3, 0));
  plan.start({.begin = 2 * kClaim, .end = 3 * kClaim});
  // The first stream will not come past the second one's begin, the second not past its own request.
  CHECK(plan.is_coming(2 * kClaim + 10, 1000));
  CHECK_FALSE(plan.is_coming(3 * kClaim, 2 * kClaim));
}

TEST_CASE("without a size one stream goes on for ever") {
  FillPlan plan;
  const auto stream = plan.start(*plan.free_from(0));
  for (int i = 0; i < 100; ++i) {
    REQUIRE(plan.extend(stream));
    plan.receive(stream, stream->claimed.length());
  }
  CHECK_FALSE(plan.is_whole());
}

TEST_CASE("whatever the order of begins, breaks and ends, each byte is received exactly once") {
  std::mt19937 random(GENERATE(1U, 2U, 3U, 4U));
  FillPlan plan = plan_of(kSize + 12345);
  std::vector<FillPlan::Handle> streams;
  std::uint64_t received = 0;
  while (!plan.is_whole()) {
    const auto free = plan.free_from(random() % 4 == 0 ? 0 : random() % kSize);
    if (free && streams.size() < 6 && random() % 3 == 0) {
      const std::uint64_t length = 1 + random() % free->length();
      streams.push_back(plan.start({.begin = free->begin, .end = free->begin + length}));
    }
    if (streams.empty()) continue;
    const std::size_t chosen = random() % streams.size();
    const bool goes_on = random() % 20 != 0 && plan.extend(streams[chosen]);
    if (goes_on) {
      const std::uint64_t n = 1 + random() % streams[chosen]->claimed.length();
      for (const std::uint64_t at :
           {streams[chosen]->claimed.begin, streams[chosen]->claimed.begin + n - 1}) {
        REQUIRE_FALSE(plan.is_received(at));
      }
      plan.receive(streams[chosen], n);
      received += n;
      REQUIRE(plan.received() == received);
    } else {
      plan.end(streams[chosen]);
      streams.erase(streams.begin() + static_cast<std::ptrdiff_t>(chosen));
    }
  }
  CHECK(received == kSize + 12345);
}
