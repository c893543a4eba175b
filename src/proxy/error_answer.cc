// Errors to answers.
#include "proxy/error_answer.h"

#include <utility>

#include "base/ascii.h"
#include "oci/media_type.h"

namespace layover::proxy {

namespace {

using oci::SpecErrorCode;

struct Verdict {
  int status;
  SpecErrorCode code;
};

SpecErrorCode unknown_of(metrics::Kind kind) {
  switch (kind) {
    case metrics::Kind::kManifest: return SpecErrorCode::kManifestUnknown;
    case metrics::Kind::kBlob: return SpecErrorCode::kBlobUnknown;
    default: return SpecErrorCode::kNameUnknown;
  }
}

Verdict verdict_on_refusal(int status, metrics::Kind kind) {
  switch (status) {
    case 401: return {401, SpecErrorCode::kUnauthorized};
    case 403: return {403, SpecErrorCode::kDenied};
    case 404: return {404, unknown_of(kind)};
    case 429: return {429, SpecErrorCode::kTooManyRequests};
    // About the connection between us and upstream; engines would hammer on 408.
    case 407:
    case 421:
    case 425:
    case 426: return {502, SpecErrorCode::kUnavailable};
    case 503: return {503, SpecErrorCode::kUnavailable};
    case 408:
    case 504: return {504, SpecErrorCode::kUnavailable};
    default: break;
  }
  if (status >= 400 && status < 500) return {status, SpecErrorCode::kUnknown};
  return {502, SpecErrorCode::kUnavailable};
}

Verdict verdict_on(const Error& error, metrics::Kind kind) {
  const bool is_upstream = error.source() == ErrorSource::kUpstream;
  switch (error.code()) {
    case ErrorCode::kInvalid: return {is_upstream ? 502 : 400, SpecErrorCode::kUnknown};
    case ErrorCode::kNotFound:
      // A file of ours that is missing says nothing about the content.
      if (error.source() == ErrorSource::kDisk) return {503, SpecErrorCode::kUnavailable};
      return {is_upstream ? 502 : 404, unknown_of(kind)};
    case ErrorCode::kDenied: return {is_upstream ? 502 : 403, SpecErrorCode::kDenied};
    case ErrorCode::kUnauthorized: return {401, SpecErrorCode::kUnauthorized};
    case ErrorCode::kUnsupported: return {is_upstream ? 502 : 405, SpecErrorCode::kUnsupported};
    case ErrorCode::kTimeout: return {504, SpecErrorCode::kUnavailable};
    case ErrorCode::kNoSpace:
    case ErrorCode::kIo:
    case ErrorCode::kBusy:
    case ErrorCode::kOverloaded:
    case ErrorCode::kCancelled: return {503, SpecErrorCode::kUnavailable};
    case ErrorCode::kCorrupt:
    case ErrorCode::kInternal: return {500, SpecErrorCode::kUnknown};
    default: return {502, SpecErrorCode::kUnavailable};
  }
}

/// What a client is told. Where our files lie is the operator's affair, who finds it in the log.
std::string message_of(const Error& error) {
  if (error.source() != ErrorSource::kDisk || error.code() == ErrorCode::kNoSpace) return error.describe();
  return error.code() == ErrorCode::kOverloaded
             ? "layover has as many files and connections open as it may"
             : "layover's cache has trouble with its disk, its log says which";
}

bool is_spec_error(const UpstreamAnswer& answer) {
  return equals_ignoring_case(oci::strip_parameters(answer.content_type), "application/json") &&
         answer.body.find("\"errors\"") != std::string::npos;
}

}  // namespace

ErrorAnswer make_answer(int status, SpecErrorCode code, std::string_view message) {
  return {.status = status,
          .content_type = "application/json",
          .body = oci::error_body(code, message),
          .retry_after = status == 503 ? "5" : ""};
}

ErrorAnswer answer_for(const Error& error, metrics::Kind kind) {
  const UpstreamAnswer* upstream = error.answer();
  const Verdict verdict =
      upstream != nullptr ? verdict_on_refusal(upstream->status, kind) : verdict_on(error, kind);
  ErrorAnswer answer = make_answer(verdict.status, verdict.code, message_of(error));
  if (upstream == nullptr) return answer;
  if (!upstream->retry_after.empty()) answer.retry_after = upstream->retry_after;
  if (upstream->status == verdict.status && is_spec_error(*upstream)) answer.body = upstream->body;
  return answer;
}

}  // namespace layover::proxy
