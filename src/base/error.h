// The one value in which every failure travels: what went wrong, where it came from, whether another
// try can help, and why. The log line, the metric label, the HTTP answer and the decision to retry
// are all derived from it.
#pragma once

#include <expected>
#include <memory>
#include <string>
#include <string_view>

namespace layover {

enum class ErrorCode {
  kInvalid,         // malformed input
  kNotFound,        // what was asked for does not exist
  kDenied,          // policy or upstream forbids it
  kUnauthorized,    // credentials missing or refused
  kUnsupported,     // understood, but not something layover does
  kTooLarge,        // over a limit on size
  kOverloaded,      // over a limit on load
  kDns,             // a name could not be resolved
  kConnect,         // no connection could be made
  kTls,             // the handshake or the certificate failed
  kTimeout,         // a deadline passed
  kReset,           // the peer broke the connection
  kClosed,          // the peer closed in an orderly way where more was due
  kProtocol,        // the peer broke its protocol
  kStatus,          // upstream answered with a status that is an error
  kRateLimited,     // upstream asked for fewer requests
  kDigestMismatch,  // the bytes are not those that the digest names
  kShortBody,       // a body ended before its announced size
  kNoSpace,         // the disk is full
  kIo,              // the disk or the system failed
  kCorrupt,         // stored state cannot be read
  kBusy,            // owned by somebody else (a lock, a port)
  kCancelled,       // given up because the process stops
  kInternal,        // a bug
};

enum class ErrorSource { kClient, kUpstream, kDisk, kSelf };

/// What upstream said when it refused, kept so that a client can be told the same.
struct UpstreamAnswer {
  int status = 0;
  std::string content_type;
  std::string body;         // at most 64 KiB
  std::string retry_after;  // as sent; empty where it is absent or makes no sense
};

class Error {
 public:
  Error(ErrorCode code, ErrorSource source, std::string message);

  ErrorCode code() const { return code_; }
  ErrorSource source() const { return source_; }
  /// For a person: names the thing that failed and the reason; no trailing dot, never a secret.
  const std::string& message() const { return message_; }
  const UpstreamAnswer* answer() const { return answer_.get(); }
  const Error* cause() const { return cause_.get(); }

  /// The message followed by those of its causes, each after ": ".
  std::string describe() const;

  /// True where upstream itself has said no: 401, 403 or 404 with its answer. Believed at once, unlike
  /// trouble on the way to it.
  bool is_refusal() const;

  /// True where the same request may succeed later without anybody changing anything: trouble
  /// reaching upstream, 5xx, 429, overload.
  bool is_outage() const;

  /// This error with another message in front; code, source and answer stay as they are.
  [[nodiscard]] Error within(std::string message) const;
  [[nodiscard]] Error with_answer(UpstreamAnswer answer) const;
  [[nodiscard]] Error with_source(ErrorSource source) const;

 private:
  ErrorCode code_;
  ErrorSource source_;
  std::string message_;
  std::shared_ptr<const UpstreamAnswer> answer_;
  std::shared_ptr<const Error> cause_;
};

template <typename T>
using Result = std::expected<T, Error>;

/// `return failure(ErrorCode::kInvalid, ErrorSource::kClient, "...")` from a function giving Result.
std::unexpected<Error> failure(ErrorCode code, ErrorSource source, std::string message);

/// A failed system call: `what` says what was tried; the code comes from `system_errno`.
Error system_error(int system_errno, ErrorSource source, std::string_view what);

/// The code's name for logs, such as "timeout".
std::string_view to_string(ErrorCode code);

}  // namespace layover
