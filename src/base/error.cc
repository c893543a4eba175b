// Error values: construction, chaining, and the mapping from errno.
#include "base/error.h"

#include <cerrno>
#include <system_error>
#include <utility>

namespace layover {

Error::Error(ErrorCode code, ErrorSource source, std::string message)
    : code_(code), source_(source), message_(std::move(message)) {}

std::string Error::describe() const {
  std::string text = message_;
  for (const Error* cause = cause_.get(); cause != nullptr; cause = cause->cause_.get()) {
    text += ": ";
    text += cause->message_;
  }
  return text;
}

bool Error::is_refusal() const {
  return answer_ != nullptr && (answer_->status == 401 || answer_->status == 403 || answer_->status == 404);
}

bool Error::is_outage() const {
  switch (code_) {
    case ErrorCode::kDns:
    case ErrorCode::kConnect:
    case ErrorCode::kTls:
    case ErrorCode::kTimeout:
    case ErrorCode::kReset:
    case ErrorCode::kClosed:
    case ErrorCode::kProtocol:
    case ErrorCode::kRateLimited:
    case ErrorCode::kOverloaded:
    case ErrorCode::kShortBody: return true;
    // Without an answer of the registry's own somebody on the way to it has failed.
    case ErrorCode::kStatus: return answer_ == nullptr || answer_->status >= 500 || answer_->status == 408;
    default: return false;
  }
}

Error Error::within(std::string message) const {
  Error outer(code_, source_, std::move(message));
  outer.answer_ = answer_;
  outer.cause_ = std::make_shared<const Error>(*this);
  return outer;
}

Error Error::with_answer(UpstreamAnswer answer) const {
  Error copy = *this;
  copy.answer_ = std::make_shared<const UpstreamAnswer>(std::move(answer));
  return copy;
}

Error Error::with_source(ErrorSource source) const {
  Error copy = *this;
  copy.source_ = source;
  return copy;
}

std::unexpected<Error> failure(ErrorCode code, ErrorSource source, std::string message) {
  return std::unexpected(Error(code, source, std::move(message)));
}

Error system_error(int system_errno, ErrorSource source, std::string_view what) {
  ErrorCode code = ErrorCode::kIo;
  switch (system_errno) {
    case ENOSPC:
    case EDQUOT: code = ErrorCode::kNoSpace; break;
    case ECONNRESET:
    case EPIPE:
    case ECONNABORTED: code = ErrorCode::kReset; break;
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH: code = ErrorCode::kConnect; break;
    case ETIMEDOUT: code = ErrorCode::kTimeout; break;
    case EADDRINUSE:
    case EWOULDBLOCK: code = ErrorCode::kBusy; break;
    case ENOENT: code = ErrorCode::kNotFound; break;
    // Descriptors are ours to give, and come back.
    case EMFILE:
    case ENFILE: code = ErrorCode::kOverloaded; break;
    default: break;
  }
  std::string message(what);
  message += ": ";
  message += std::generic_category().message(system_errno);
  return {code, source, std::move(message)};
}

std::string_view to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalid: return "invalid";
    case ErrorCode::kNotFound: return "not_found";
    case ErrorCode::kDenied: return "denied";
    case ErrorCode::kUnauthorized: return "unauthorized";
    case ErrorCode::kUnsupported: return "unsupported";
    case ErrorCode::kTooLarge: return "too_large";
    case ErrorCode::kOverloaded: return "overloaded";
    case ErrorCode::kDns: return "dns";
    case ErrorCode::kConnect: return "connect";
    case ErrorCode::kTls: return "tls";
    case ErrorCode::kTimeout: return "timeout";
    case ErrorCode::kReset: return "reset";
    case ErrorCode::kClosed: return "closed";
    case ErrorCode::kProtocol: return "protocol";
    case ErrorCode::kStatus: return "status";
    case ErrorCode::kRateLimited: return "ratelimited";
    case ErrorCode::kDigestMismatch: return "digest_mismatch";
    case ErrorCode::kShortBody: return "short_body";
    case ErrorCode::kNoSpace: return "no_space";
    case ErrorCode::kIo: return "io";
    case ErrorCode::kCorrupt: return "corrupt";
    case ErrorCode::kBusy: return "busy";
    case ErrorCode::kCancelled: return "cancelled";
    case ErrorCode::kInternal: return "internal";
  }
  return "unknown";
}

}  // namespace layover
