// What is remembered of a registry.
#include "upstream/endpoint_health.h"

#include <chrono>
#include <string>

#include "tests/support/catch.h"

using namespace layover;
using namespace layover::upstream;
using namespace std::chrono_literals;

namespace {

const WallTime kNow{std::chrono::milliseconds(1'700'000'000'000)};  // Tue, 14 Nov 2023 22:13:20 GMT

Error answered(ErrorCode code, int status, std::string retry_after = {}, std::string body = {}) {
  return Error(code, ErrorSource::kUpstream, "r.test answered")
      .with_answer({.status = status,
                    .content_type = "text/plain",
                    .body = std::move(body),
                    .retry_after = std::move(retry_after)});
}

const Error kDown(ErrorCode::kConnect, ErrorSource::kUpstream, "nobody there");

}  // namespace

TEST_CASE("Retry-After is a number of seconds or a date") {
  CHECK(parse_retry_after("0", kNow) == 0s);
  CHECK(parse_retry_after(" 120 ", kNow) == 120s);
  CHECK(parse_retry_after("Tue, 14 Nov 2023 22:14:20 GMT", kNow) == 60s);
  CHECK(parse_retry_after("Tue, 14 Nov 2023 22:00:00 GMT", kNow) == 0s);
  for (const char* wrong : {"", "-1", "1.5", "soon", "99999999999", "Tue, 14 Nov 2023 22:14:20 GMT+1"}) {
    CAPTURE(wrong);
    CHECK_FALSE(parse_retry_after(wrong, kNow));
  }
}

TEST_CASE("an outage spares requests until the registry answers") {
  EndpointHealth health("r.test", "tags are served stale meanwhile");
  CHECK_FALSE(health.spare());
  health.note_outage(kDown);
  CHECK(health.is_down());
  for (int i = 0; i < 3; ++i) {
    const auto spared = health.spare();
    REQUIRE(spared);
    CHECK(spared->code() == ErrorCode::kConnect);
    CHECK(spared->describe().find("nobody there") != std::string::npos);
  }
  health.note_answer();
  CHECK_FALSE(health.is_down());
  CHECK_FALSE(health.spare());
}

TEST_CASE("after a probe one request may try, and where that fails the next pause is longer") {
  EndpointHealth health("mirror.test", "it is passed over");
  const auto seconds_left = [&] {
    const std::string text = health.outage()->describe();
    const auto begin = text.find("again in ") + 9;
    return std::stoi(text.substr(begin));
  };
  CHECK(health.may_try());
  health.note_outage(kDown);
  CHECK_FALSE(health.may_try());
  int before = seconds_left();
  for (int i = 0; i < 6; ++i) {
    health.note_probed();
    CHECK(health.is_down());
    CHECK_FALSE(health.take_probe());
    CHECK(health.may_try());
    CHECK_FALSE(health.may_try());  // one at a time
    // One that answers and breaks off then is no better than one that does not answer.
    if (i % 2 == 1) health.note_answer();
    health.note_outage(kDown);
    CHECK_FALSE(health.may_try());
    CHECK(seconds_left() >= before);
    before = seconds_left();
  }
  CHECK(before >= 50);
  CHECK(before <= 60);
  health.note_probed();
  CHECK(health.may_try());
  health.note_answer();
  CHECK(health.may_try());
  CHECK(health.may_try());
}

TEST_CASE("bytes that were wrong are remembered for what was asked for") {
  EndpointHealth health("r.test", "tags are served stale meanwhile");
  health.note_wrong("blobs/sha256:aa");
  CHECK(health.gave_wrong("blobs/sha256:aa"));
  CHECK_FALSE(health.gave_wrong("blobs/sha256:bb"));
}

TEST_CASE("a rate limit counts for its kind of request, for as long as the registry asks") {
  EndpointHealth health("r.test", "tags are served stale meanwhile");
  health.note_rate_limit(metrics::Kind::kManifest, answered(ErrorCode::kRateLimited, 429, "60"), kNow);
  const auto limited = health.rate_limit(metrics::Kind::kManifest);
  REQUIRE(limited);
  CHECK(limited->code() == ErrorCode::kRateLimited);
  CHECK(limited->answer()->status == 429);
  CHECK(limited->answer()->retry_after == "60");
  CHECK_FALSE(health.rate_limit(metrics::Kind::kBlob));
  health.note_rate_limit(metrics::Kind::kBlob, answered(ErrorCode::kRateLimited, 429, "0"), kNow);
  CHECK_FALSE(health.rate_limit(metrics::Kind::kBlob));
  health.note_rate_limit(metrics::Kind::kTags, answered(ErrorCode::kRateLimited, 429, "99999999"), kNow);
  CHECK(health.rate_limit(metrics::Kind::kTags)->answer()->retry_after == "3600");
  health.note_rate_limit(metrics::Kind::kReferrers, answered(ErrorCode::kRateLimited, 429), kNow);
  CHECK(health.rate_limit(metrics::Kind::kReferrers)->answer()->retry_after == "10");
}

TEST_CASE("a 404 is remembered for its time, with a body that is not too long") {
  EndpointHealth health("r.test", "tags are served stale meanwhile");
  health.note_not_found("GET a", answered(ErrorCode::kNotFound, 404, "", "no"), 1h);
  health.note_not_found("GET b", answered(ErrorCode::kNotFound, 404, "", std::string(10'000, 'x')), 1h);
  health.note_not_found("GET c", answered(ErrorCode::kNotFound, 404), 0s);
  CHECK(health.not_found("GET a")->answer()->body == "no");
  CHECK(health.not_found("GET b")->answer()->body.empty());
  CHECK_FALSE(health.not_found("GET c"));
  CHECK_FALSE(health.not_found("HEAD a"));
}

TEST_CASE("a flood of 404s is remembered in bounded memory, and makes room again") {
  EndpointHealth health("r.test", "tags are served stale meanwhile");
  for (int i = 0; i < 100'000; ++i) {
    health.note_not_found(std::to_string(i), answered(ErrorCode::kNotFound, 404), 1h);
  }
  CHECK(health.not_found("0"));
  CHECK_FALSE(health.not_found("99999"));
}
