// The memory of answers: bounded, and given back.
#include "proxy/answer_memory.h"

#include <utility>

#include "tests/support/catch.h"

using namespace layover;
using layover::proxy::AnswerMemory;

TEST_CASE("answers take memory up to the bound, and give it back") {
  AnswerMemory memory;
  const Bytes half{AnswerMemory::kMost.count / 2};
  {
    auto first = memory.take(half);
    REQUIRE(first);
    const AnswerMemory::Share moved(std::move(*first));
    const auto second = memory.take(half);
    CHECK(second);
    CHECK_FALSE(memory.take(Bytes{1}));
    CHECK_FALSE(memory.take(AnswerMemory::kMost));
  }
  CHECK(memory.take(AnswerMemory::kMost));
}
