// Error: what a person reads, what a program decides by, and where codes come from.
#include "base/error.h"

#include <cerrno>
#include <string>
#include <vector>

#include "tests/support/catch.h"

using namespace layover;

TEST_CASE("an error describes itself and its causes, outermost first") {
  const Error inner(ErrorCode::kConnect, ErrorSource::kUpstream, "connection refused");
  const Error middle = inner.within("10.0.0.1:443 cannot be reached");
  const Error outer = middle.within("asking r.example failed");
  CHECK(outer.message() == "asking r.example failed");
  CHECK(outer.describe() == "asking r.example failed: 10.0.0.1:443 cannot be reached: connection refused");
  CHECK(outer.code() == ErrorCode::kConnect);
  CHECK(outer.source() == ErrorSource::kUpstream);
  REQUIRE(outer.cause() != nullptr);
  CHECK(outer.cause()->cause()->cause() == nullptr);
}

TEST_CASE("upstream's answer travels with the error through every layer") {
  const Error refused =
      Error(ErrorCode::kDenied, ErrorSource::kUpstream, "no")
          .with_answer({.status = 403, .content_type = "a/b", .body = "c", .retry_after = "5"});
  const Error seen = refused.within("outer").with_source(ErrorSource::kSelf);
  REQUIRE(seen.answer() != nullptr);
  CHECK(seen.answer()->status == 403);
  CHECK(seen.answer()->body == "c");
  CHECK(seen.source() == ErrorSource::kSelf);
  CHECK(refused.source() == ErrorSource::kUpstream);
}

TEST_CASE("an outage is what may pass without anybody changing anything") {
  using enum ErrorCode;
  const auto is_outage = [](ErrorCode code) { return Error(code, ErrorSource::kUpstream, "x").is_outage(); };
  for (const ErrorCode code :
       {kDns, kConnect, kTls, kTimeout, kReset, kClosed, kProtocol, kRateLimited, kOverloaded, kShortBody}) {
    INFO(to_string(code));
    CHECK(is_outage(code));
  }
  for (const ErrorCode code : {kInvalid, kNotFound, kDenied, kUnauthorized, kUnsupported, kTooLarge,
                               kDigestMismatch, kNoSpace, kIo, kCorrupt, kBusy, kCancelled, kInternal}) {
    INFO(to_string(code));
    CHECK_FALSE(is_outage(code));
  }
  const auto with_status = [](int status) {
    return Error(kStatus, ErrorSource::kUpstream, "x")
        .with_answer({.status = status, .content_type = {}, .body = {}, .retry_after = {}})
        .is_outage();
  };
  CHECK(with_status(500));
  CHECK(with_status(503));
  CHECK(with_status(408));
  CHECK_FALSE(with_status(400));
  CHECK_FALSE(with_status(405));
  CHECK(is_outage(kStatus));  // of somebody on the way
}

TEST_CASE("a failed system call says what was tried, why it failed, and which kind of failure it is") {
  struct Case {
    int number;
    ErrorCode code;
  };
  for (const Case& one : std::vector<Case>{{ENOSPC, ErrorCode::kNoSpace},
                                           {EDQUOT, ErrorCode::kNoSpace},
                                           {ECONNRESET, ErrorCode::kReset},
                                           {EPIPE, ErrorCode::kReset},
                                           {ECONNREFUSED, ErrorCode::kConnect},
                                           {ETIMEDOUT, ErrorCode::kTimeout},
                                           {EADDRINUSE, ErrorCode::kBusy},
                                           {ENOENT, ErrorCode::kNotFound},
                                           {EMFILE, ErrorCode::kOverloaded},
                                           {ENFILE, ErrorCode::kOverloaded},
                                           {EIO, ErrorCode::kIo}}) {
    const Error error = system_error(one.number, ErrorSource::kDisk, "writing a file");
    CHECK(error.code() == one.code);
    CHECK(error.message().starts_with("writing a file: "));
  }
}
