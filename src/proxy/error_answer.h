// The one place where an Error becomes what a client is told: status, specification's code, message.
#pragma once

#include <string>

#include "base/error.h"
#include "metrics/labels.h"
#include "oci/spec_error.h"

namespace layover::proxy {

struct ErrorAnswer {
  int status = 500;
  std::string content_type;
  std::string body;
  std::string retry_after;  // empty: none
};

/// What upstream said is passed on where a client can act on it (401, 403, 404, 429, other 4xx), with
/// upstream's own body if that is the specification's JSON; trouble on the way to upstream is 502 or 504
/// and names the cause.
ErrorAnswer answer_for(const Error& error, metrics::Kind kind);

ErrorAnswer make_answer(int status, oci::SpecErrorCode code, std::string_view message);

}  // namespace layover::proxy
