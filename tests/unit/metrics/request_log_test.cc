// The lines of the request log, as text and as JSON, and what a client may do to them.
#include "metrics/request_log.h"

#include <chrono>
#include <string>

#include <nlohmann/json.hpp>

#include "tests/support/captured_output.h"
#include "tests/support/catch.h"
#include "tests/support/manual_clock.h"

using namespace layover;
using namespace layover::metrics;
using namespace layover::test;
using std::chrono::microseconds;

namespace {

RequestRecord blob_hit() {
  return {.registry = {},
          .kind = Kind::kBlob,
          .method = Method::kGet,
          .cache = CacheResult::kHit,
          .code = 206,
          .sent = Bytes{5'000'000'000},
          .saved = Bytes{5'000'000'000},
          .duration = microseconds(12'345'067),
          .time_to_first_byte = microseconds(89)};
}

/// The line without its end.
std::string written(LogFormat format, const RequestLine& line) {
  CapturedOutput output;
  const ManualClock clock;
  RequestLog(output.fd(), format, clock).write(line);
  const auto lines = output.lines();
  REQUIRE(lines.size() == 1);
  return lines.front();
}

nlohmann::json as_json(const RequestLine& line) {
  return nlohmann::json::parse(written(LogFormat::kJson, line));
}

}  // namespace

TEST_CASE("a text line has all fields by name") {
  const RequestRecord record = blob_hit();
  CHECK(written(LogFormat::kText, {.record = record,
                                   .client = "10.0.0.7",
                                   .method = "GET",
                                   .registry = "docker.io",
                                   .repository = "library/nginx",
                                   .reference = "sha256:abc",
                                   .is_upstream_asked = true,
                                   .user_agent = "containerd/2.0 linux",
                                   .request_id = "0123456789abcdef"}) ==
        "time=2023-11-14T22:13:20.000Z client=10.0.0.7 method=GET kind=blob registry=docker.io "
        "repository=library/nginx reference=sha256:abc status=206 bytes=5000000000 duration_ms=12345.067 "
        "first_byte_ms=0.089 cache=hit upstream=true ending=complete user_agent=\"containerd/2.0 linux\" "
        "request_id=0123456789abcdef");
}

TEST_CASE("a JSON line has the same fields, with their types") {
  const RequestRecord record = blob_hit();
  const auto line = as_json({.record = record,
                             .client = "2001:db8::1",
                             .method = "GET",
                             .registry = "[::1]:5000",
                             .repository = "a/b",
                             .reference = "1.0",
                             .ending = Ending::kClientLeft,
                             .user_agent = "podman",
                             .request_id = "0123456789abcdef"});
  CHECK(line == nlohmann::json::parse(R"({
    "time": "2023-11-14T22:13:20.000Z", "client": "2001:db8::1", "method": "GET", "kind": "blob",
    "registry": "[::1]:5000", "repository": "a/b", "reference": "1.0", "status": 206, "bytes": 5000000000,
    "duration_ms": 12345.067, "first_byte_ms": 0.089, "cache": "hit", "upstream": false,
    "ending": "client_left", "user_agent": "podman", "request_id": "0123456789abcdef"})"));
}

TEST_CASE("what is not known is said to be so") {
  RequestRecord record;
  record.code = 400;
  CHECK(written(LogFormat::kText, {.record = record, .ending = Ending::kCutOff}) ==
        "time=2023-11-14T22:13:20.000Z client=- method=- kind=other registry=- repository=- reference=- "
        "status=400 bytes=0 duration_ms=0.000 first_byte_ms=- cache=none upstream=false ending=cut_off "
        "user_agent=- request_id=-");
  const auto line = as_json({.record = record});
  for (const auto* name : {"client", "method", "registry", "repository", "reference", "first_byte_ms",
                           "user_agent", "request_id"}) {
    CAPTURE(name);
    CHECK(line.at(name).is_null());
  }
}

TEST_CASE("a request that is no route is logged with its path") {
  RequestRecord record;
  record.code = 404;
  CHECK(
      written(LogFormat::kText, {.record = record, .path = "/v2/_catalog"}).ends_with(" path=/v2/_catalog"));
  CHECK(as_json({.record = record, .path = "/v2/_catalog"}).at("path") == "/v2/_catalog");
}

TEST_CASE("what a client sends cannot forge a field or a line") {
  const RequestRecord record = blob_hit();
  const std::string evil = "curl\" status=200\n{\"time\":1}\x1b[2J \xff\xc2\x9b";
  const RequestLine line{.record = record, .path = "a=b", .user_agent = evil};
  const std::string text = written(LogFormat::kText, line);
  CHECK(text.find(R"(user_agent="curl\" status=200\x0a{\"time\":1}\x1b[2J \xff\xc2\x9b" request_id)") !=
        std::string::npos);
  CHECK(text.ends_with("path=\"a=b\""));
  CHECK(as_json(line).at("user_agent") == "curl\" status=200\n{\"time\":1}\x1b[2J \xef\xbf\xbd\xc2\x9b");
  // Somebody who is called like nothing at all.
  CHECK(written(LogFormat::kText, {.record = record, .user_agent = "-"}).find("user_agent=\"-\"") !=
        std::string::npos);
}

TEST_CASE("what a client sends is cut at 256 bytes") {
  const RequestRecord record = blob_hit();
  const std::string long_text(100'000, 'a');
  const RequestLine line{.record = record, .method = long_text, .path = long_text, .user_agent = long_text};
  CHECK(as_json(line).at("user_agent") == std::string(256, 'a'));
  CHECK(written(LogFormat::kText, line).size() < 1500);
  // In the middle of a character, too.
  const std::string cut = std::string(255, 'a') + "ü";
  CHECK(as_json({.record = record, .user_agent = cut}).at("user_agent") ==
        std::string(255, 'a') + "\xef\xbf\xbd");
}

TEST_CASE("a log that nobody reads takes requests without waiting") {
  const RequestRecord record = blob_hit();
  const StuckPipe pipe;
  const ManualClock clock;
  const auto began = std::chrono::steady_clock::now();
  {
    RequestLog log(pipe.fd(), LogFormat::kJson, clock);
    for (int i = 0; i < 20'000; ++i) log.write({.record = record, .client = "10.0.0.7"});
  }
  CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds(10));  // its end gives up after 1 s
}
