// Errors to answers: what engines act on is kept, trouble is 502 or 504 and names its cause.
#include "proxy/error_answer.h"

#include <string>
#include <vector>

#include "tests/support/catch.h"

using namespace layover;
using metrics::Kind;
using proxy::answer_for;

namespace {

Error refused(int status, std::string type, std::string body, std::string retry_after = {}) {
  return Error(ErrorCode::kStatus, ErrorSource::kUpstream, "upstream refused")
      .with_answer({.status = status,
                    .content_type = std::move(type),
                    .body = std::move(body),
                    .retry_after = std::move(retry_after)});
}

}  // namespace

TEST_CASE("upstream's refusals keep their status") {
  struct Case {
    int upstream;
    int answer;
    std::string code;
  };
  for (const Case& one : std::vector<Case>{{401, 401, "UNAUTHORIZED"},
                                           {403, 403, "DENIED"},
                                           {404, 404, "MANIFEST_UNKNOWN"},
                                           {429, 429, "TOOMANYREQUESTS"},
                                           {400, 400, "UNKNOWN"},
                                           {405, 405, "UNKNOWN"},
                                           {503, 503, "UNAVAILABLE"},
                                           {504, 504, "UNAVAILABLE"},
                                           {500, 502, "UNAVAILABLE"},
                                           {502, 502, "UNAVAILABLE"},
                                           {302, 502, "UNAVAILABLE"}}) {
    INFO(one.upstream);
    const auto answer = answer_for(refused(one.upstream, "text/html", "<html>"), Kind::kManifest);
    CHECK(answer.status == one.answer);
    CHECK(answer.content_type == "application/json");
    CHECK(answer.body.find("\"" + one.code + "\"") != std::string::npos);
    CHECK(answer.body.find("<html>") == std::string::npos);
  }
  CHECK(answer_for(refused(404, "", ""), Kind::kBlob).body.find("BLOB_UNKNOWN") != std::string::npos);
  CHECK(answer_for(refused(404, "", ""), Kind::kTags).body.find("NAME_UNKNOWN") != std::string::npos);
}

TEST_CASE("upstream's own JSON is passed on where the status is") {
  const std::string json = R"({"errors":[{"code":"X","message":"y"}]})";
  CHECK(answer_for(refused(403, "application/json; charset=utf-8", json), Kind::kBlob).body == json);
  CHECK(answer_for(refused(500, "application/json", json), Kind::kBlob).body != json);
  CHECK(answer_for(refused(403, "text/plain", json), Kind::kBlob).body != json);
  CHECK(answer_for(refused(403, "application/json", "{}"), Kind::kBlob).body != "{}");
}

TEST_CASE("Retry-After is upstream's where it gave one, our own on 503") {
  CHECK(answer_for(refused(429, "", "", "30"), Kind::kBlob).retry_after == "30");
  CHECK(answer_for(refused(503, "", "", "31"), Kind::kBlob).retry_after == "31");
  CHECK_FALSE(answer_for(refused(503, "", ""), Kind::kBlob).retry_after.empty());
  CHECK(answer_for(refused(404, "", ""), Kind::kBlob).retry_after.empty());
}

TEST_CASE("trouble on the way is 502 or 504 and says what it was") {
  struct Case {
    ErrorCode code;
    ErrorSource source;
    int status;
  };
  for (const Case& one : std::vector<Case>{{ErrorCode::kDns, ErrorSource::kUpstream, 502},
                                           {ErrorCode::kConnect, ErrorSource::kUpstream, 502},
                                           {ErrorCode::kTls, ErrorSource::kUpstream, 502},
                                           {ErrorCode::kTimeout, ErrorSource::kUpstream, 504},
                                           {ErrorCode::kReset, ErrorSource::kUpstream, 502},
                                           {ErrorCode::kProtocol, ErrorSource::kUpstream, 502},
                                           {ErrorCode::kDigestMismatch, ErrorSource::kUpstream, 502},
                                           {ErrorCode::kTooLarge, ErrorSource::kUpstream, 502},
                                           {ErrorCode::kDenied, ErrorSource::kUpstream, 502},
                                           {ErrorCode::kDenied, ErrorSource::kClient, 403},
                                           {ErrorCode::kInvalid, ErrorSource::kClient, 400},
                                           {ErrorCode::kNoSpace, ErrorSource::kDisk, 503},
                                           {ErrorCode::kIo, ErrorSource::kDisk, 503},
                                           {ErrorCode::kNotFound, ErrorSource::kDisk, 503},
                                           {ErrorCode::kOverloaded, ErrorSource::kSelf, 503},
                                           {ErrorCode::kCancelled, ErrorSource::kSelf, 503},
                                           {ErrorCode::kInternal, ErrorSource::kSelf, 500}}) {
    INFO(to_string(one.code));
    const Error error = Error(one.code, one.source, "the cause").within("the matter");
    const auto answer = answer_for(error, Kind::kBlob);
    CHECK(answer.status == one.status);
    const bool is_told = one.source != ErrorSource::kDisk || one.code == ErrorCode::kNoSpace;
    CHECK((answer.body.find("the matter: the cause") != std::string::npos) == is_told);
  }
}

TEST_CASE("a client is told of trouble with our disk, not where our files lie") {
  const Error missing(ErrorCode::kNotFound, ErrorSource::kDisk, "opening /var/lib/layover/fills/x");
  CHECK(answer_for(missing, metrics::Kind::kBlob).body.find("/var/lib") == std::string::npos);
  const Error crowded = system_error(EMFILE, ErrorSource::kDisk, "opening /var/lib/layover/blobs/x");
  const auto answer = answer_for(crowded, metrics::Kind::kBlob);
  CHECK(answer.status == 503);
  CHECK(answer.retry_after == "5");
  CHECK(answer.body.find("as many files and connections open as it may") != std::string::npos);
  const Error full(ErrorCode::kNoSpace, ErrorSource::kDisk, "the cache has no room for 5 bytes");
  CHECK(answer_for(full, metrics::Kind::kBlob).body.find("no room") != std::string::npos);
}
