// Label values: the names users see, status codes, and what errors count as.
#include "metrics/labels.h"

#include <set>
#include <string>

#include "tests/support/catch.h"

using namespace layover::metrics;
using layover::Error;
using layover::ErrorCode;
using layover::ErrorSource;

namespace {

std::string code_label(int code) { return std::string(status_code_label(status_code_index(code))); }

template <typename Value>
std::string names(std::size_t count) {
  std::string all;
  for (std::size_t i = 0; i < count; ++i) all += std::string(to_string(static_cast<Value>(i))) + " ";
  return all;
}

Error upstream_error(ErrorCode code) { return {code, ErrorSource::kUpstream, "x"}; }

}  // namespace

TEST_CASE("label values are those that users know") {
  CHECK(names<Kind>(kKinds) == "manifest blob tags referrers ping other ");
  CHECK(names<CacheResult>(kCacheResults) == "hit miss joined stale revalidated bypass none ");
  CHECK(names<Method>(kMethods) == "GET HEAD other ");
  CHECK(names<Side>(kSides) == "client upstream ");
  CHECK(names<FillResult>(kFillResults) == "committed mismatch short upstream_error disk_error abandoned ");
  CHECK(names<UpstreamReason>(kUpstreamReasons) ==
        "dns connect tls timeout reset protocol status ratelimited ");
  CHECK(names<DenialReason>(kDenialReasons) == "registry repository grant credentials ");
}

TEST_CASE("known status codes have a series of their own, all others share one per class") {
  for (int code : {200, 206, 304, 307, 404, 416, 429, 502, 504, 508})
    CHECK(code_label(code) == std::to_string(code));
  CHECK(code_label(100) == "1xx");
  CHECK(code_label(299) == "2xx");
  CHECK(code_label(399) == "3xx");
  CHECK(code_label(418) == "4xx");
  CHECK(code_label(599) == "5xx");
  for (int code : {-1, 0, 99, 600, 1'000'000}) CHECK(code_label(code) == "other");
  std::set<std::string> all;
  for (std::size_t i = 0; i < kStatusCodes; ++i) all.emplace(status_code_label(i));
  CHECK(all.size() == kStatusCodes);
}

TEST_CASE("an upstream error counts under the reason of its code") {
  CHECK(reason_of(upstream_error(ErrorCode::kDns)) == UpstreamReason::kDns);
  CHECK(reason_of(upstream_error(ErrorCode::kConnect)) == UpstreamReason::kConnect);
  CHECK(reason_of(upstream_error(ErrorCode::kTls)) == UpstreamReason::kTls);
  CHECK(reason_of(upstream_error(ErrorCode::kTimeout)) == UpstreamReason::kTimeout);
  CHECK(reason_of(upstream_error(ErrorCode::kReset)) == UpstreamReason::kReset);
  CHECK(reason_of(upstream_error(ErrorCode::kClosed)) == UpstreamReason::kReset);
  CHECK(reason_of(upstream_error(ErrorCode::kShortBody)) == UpstreamReason::kReset);
  CHECK(reason_of(upstream_error(ErrorCode::kProtocol)) == UpstreamReason::kProtocol);
  CHECK(reason_of(upstream_error(ErrorCode::kDigestMismatch)) == UpstreamReason::kProtocol);
  CHECK(reason_of(upstream_error(ErrorCode::kTooLarge)) == UpstreamReason::kProtocol);
  CHECK(reason_of(upstream_error(ErrorCode::kStatus)) == UpstreamReason::kStatus);
  CHECK(reason_of(upstream_error(ErrorCode::kUnauthorized)) == UpstreamReason::kStatus);
  CHECK(reason_of(upstream_error(ErrorCode::kRateLimited)) == UpstreamReason::kRateLimited);
}

TEST_CASE("a denial by upstream is a status, a denial by our own rules is upstream's protocol") {
  CHECK(reason_of(upstream_error(ErrorCode::kDenied)) == UpstreamReason::kProtocol);
  CHECK(reason_of(upstream_error(ErrorCode::kDenied).with_answer({403, "", "", ""})) ==
        UpstreamReason::kStatus);
}

TEST_CASE("a fill's error decides its result") {
  CHECK(fill_result_of(upstream_error(ErrorCode::kDigestMismatch)) == FillResult::kMismatch);
  CHECK(fill_result_of(upstream_error(ErrorCode::kShortBody)) == FillResult::kShort);
  CHECK(fill_result_of(upstream_error(ErrorCode::kReset)) == FillResult::kUpstreamError);
  CHECK(fill_result_of(upstream_error(ErrorCode::kCancelled)) == FillResult::kAbandoned);
  CHECK(fill_result_of({ErrorCode::kNoSpace, ErrorSource::kDisk, "x"}) == FillResult::kDiskError);
  CHECK(fill_result_of({ErrorCode::kNotFound, ErrorSource::kDisk, "x"}) == FillResult::kDiskError);
}
