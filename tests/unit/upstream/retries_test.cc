// Which failures of a request are worth another try, how often, and when there is no time for it.
#include "upstream/retries.h"

#include <string>
#include <utility>

#include "tests/support/catch.h"

using namespace layover;
using std::chrono::milliseconds;
using upstream::Retries;

namespace {

Error error(ErrorCode code) { return {code, ErrorSource::kUpstream, "trouble"}; }
Error answered(int status, std::string retry_after = {}) {
  return error(ErrorCode::kStatus)
      .with_answer({.status = status, .content_type = {}, .body = {}, .retry_after = std::move(retry_after)});
}

int tries_at(const Error& failure) {
  Retries retries;
  int tries = 0;
  while (retries.pause_after(failure, Deadline::never())) ++tries;
  return tries;
}

}  // namespace

TEST_CASE("trouble on the way is worth another try, an answer is not") {
  CHECK(tries_at(error(ErrorCode::kReset)) == 2);
  CHECK(tries_at(error(ErrorCode::kConnect)) == 2);
  CHECK(tries_at(error(ErrorCode::kTimeout)) == 1);
  CHECK(tries_at(error(ErrorCode::kStatus)) == 1);  // of a redirect's target, say
  CHECK(tries_at(error(ErrorCode::kProtocol)) == 0);
  CHECK(tries_at(answered(502)) == 1);
  CHECK(tries_at(answered(404)) == 0);
  CHECK(tries_at(error(ErrorCode::kNotFound)) == 0);
  CHECK(tries_at(error(ErrorCode::kUnauthorized)) == 0);
  CHECK(tries_at(error(ErrorCode::kRateLimited)) == 0);
  CHECK(tries_at(error(ErrorCode::kDigestMismatch)) == 0);
  CHECK(tries_at(Error(ErrorCode::kReset, ErrorSource::kDisk, "not upstream's")) == 0);
}

TEST_CASE("an upstream that says when to come again is not asked before") {
  CHECK(tries_at(answered(503, "7")) == 0);
}

TEST_CASE("pauses grow, and none leads past the deadline") {
  Retries retries;
  const auto first = retries.pause_after(error(ErrorCode::kReset), Deadline::never());
  const auto second = retries.pause_after(error(ErrorCode::kReset), Deadline::never());
  REQUIRE((first && second));
  CHECK(*first >= milliseconds(100));
  CHECK(*second > *first);
  CHECK_FALSE(Retries().pause_after(error(ErrorCode::kReset), Deadline::after(milliseconds(50))));
}
