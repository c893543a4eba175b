// The error codes' names and the JSON around them.
#include "oci/spec_error.h"

#include <nlohmann/json.hpp>

namespace layover::oci {

std::string_view to_string(SpecErrorCode code) {
  switch (code) {
    case SpecErrorCode::kBlobUnknown: return "BLOB_UNKNOWN";
    case SpecErrorCode::kDenied: return "DENIED";
    case SpecErrorCode::kDigestInvalid: return "DIGEST_INVALID";
    case SpecErrorCode::kManifestInvalid: return "MANIFEST_INVALID";
    case SpecErrorCode::kManifestUnknown: return "MANIFEST_UNKNOWN";
    case SpecErrorCode::kNameInvalid: return "NAME_INVALID";
    case SpecErrorCode::kNameUnknown: return "NAME_UNKNOWN";
    case SpecErrorCode::kSizeInvalid: return "SIZE_INVALID";
    case SpecErrorCode::kTooManyRequests: return "TOOMANYREQUESTS";
    case SpecErrorCode::kUnauthorized: return "UNAUTHORIZED";
    case SpecErrorCode::kUnsupported: return "UNSUPPORTED";
    case SpecErrorCode::kTagInvalid: return "TAG_INVALID";
    case SpecErrorCode::kUnavailable: return "UNAVAILABLE";
    case SpecErrorCode::kUnknown: break;
  }
  return "UNKNOWN";
}

std::string error_body(SpecErrorCode code, std::string_view message, std::string_view detail) {
  nlohmann::ordered_json error;
  error["code"] = to_string(code);
  error["message"] = message;
  error["detail"] = nullptr;
  if (!detail.empty()) error["detail"] = detail;
  nlohmann::ordered_json body;
  body["errors"] = nlohmann::ordered_json::array({std::move(error)});
  return body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace layover::oci
