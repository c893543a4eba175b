// Files of certificate authorities, looked at before anything is set up with them.
#pragma once

#include <string_view>

#include "base/error.h"

namespace layover::config {

/// Whether OpenSSL will take this text (PEM, RFC 7468) as certificates; kInvalid with its reason where not.
Result<void> check_certificates(std::string_view pem);

}  // namespace layover::config
