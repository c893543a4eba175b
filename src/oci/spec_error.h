// The distribution specification's errors ("Error Codes"): their codes and the JSON body in which a
// client gets them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace layover::oci {

enum class SpecErrorCode : std::uint8_t {
  kBlobUnknown,
  kDenied,
  kDigestInvalid,
  kManifestInvalid,
  kManifestUnknown,
  kNameInvalid,
  kNameUnknown,
  kSizeInvalid,
  kTooManyRequests,
  kUnauthorized,
  kUnsupported,
  // Not in the specification, but what registries send and clients print.
  kTagInvalid,   // a malformed tag
  kUnavailable,  // upstream or layover itself cannot answer now
  kUnknown,      // anything else
};

/// "BLOB_UNKNOWN" and so on.
std::string_view to_string(SpecErrorCode code);

/// `{"errors":[{"code":"...","message":"...","detail":...}]}`. Invalid UTF-8 in the texts is replaced
/// by U+FFFD. An empty detail is written as null.
std::string error_body(SpecErrorCode code, std::string_view message, std::string_view detail = {});

}  // namespace layover::oci
