// Builds the head of an HTTP/1.1 answer.
#pragma once

#include <string>
#include <string_view>

namespace layover::net {

/// The standard reason phrase, or "Unknown".
std::string_view reason_phrase(int status);

/// Now, as a Date header wants it (RFC 9110 5.6.7); made once a second per thread.
std::string_view http_date_now();

class ResponseHead {
 public:
  /// Starts with the status line and Date.
  explicit ResponseHead(int status);

  /// Names and values are ours or were parsed: they hold no line breaks. A value that does anyway is
  /// left out, so that nothing from upstream can split an answer.
  ResponseHead& add(std::string_view name, std::string_view value);
  ResponseHead& add(std::string_view name, unsigned long long value);

  int status() const { return status_; }
  /// The head with its closing empty line.
  std::string finish() &&;

 private:
  int status_;
  std::string text_;
};

}  // namespace layover::net
