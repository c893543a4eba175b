// The JSON body of an error.
#include "oci/spec_error.h"

#include <string>
#include <string_view>

#include "tests/support/catch.h"

using layover::oci::error_body;
using layover::oci::SpecErrorCode;

TEST_CASE("an error body has a code, a message and a detail") {
  CHECK(error_body(SpecErrorCode::kManifestUnknown, "no such manifest") ==
        R"({"errors":[{"code":"MANIFEST_UNKNOWN","message":"no such manifest","detail":null}]})");
  CHECK(error_body(SpecErrorCode::kDenied, "m", "add it to registries") ==
        R"({"errors":[{"code":"DENIED","message":"m","detail":"add it to registries"}]})");
}

TEST_CASE("texts in an error body are escaped") {
  CHECK(error_body(SpecErrorCode::kNameInvalid, "\"\\\n\x01</script>") ==
        R"({"errors":[{"code":"NAME_INVALID","message":"\"\\\n\u0001</script>","detail":null}]})");
}

TEST_CASE("bytes that are not UTF-8 are replaced") {
  CHECK(error_body(SpecErrorCode::kUnknown,
                   "a\xff"
                   "b") ==
        "{\"errors\":[{\"code\":\"UNKNOWN\",\"message\":\"a\xef\xbf\xbd"
        "b\",\"detail\":null}]}");
  CHECK_NOTHROW(error_body(SpecErrorCode::kUnknown, "\xc3", "\xed\xa0\x80"));
}

TEST_CASE("the codes are spelled as in the specification") {
  using enum SpecErrorCode;
  CHECK(to_string(kBlobUnknown) == "BLOB_UNKNOWN");
  CHECK(to_string(kDenied) == "DENIED");
  CHECK(to_string(kDigestInvalid) == "DIGEST_INVALID");
  CHECK(to_string(kManifestInvalid) == "MANIFEST_INVALID");
  CHECK(to_string(kManifestUnknown) == "MANIFEST_UNKNOWN");
  CHECK(to_string(kNameInvalid) == "NAME_INVALID");
  CHECK(to_string(kNameUnknown) == "NAME_UNKNOWN");
  CHECK(to_string(kSizeInvalid) == "SIZE_INVALID");
  CHECK(to_string(kTooManyRequests) == "TOOMANYREQUESTS");
  CHECK(to_string(kUnauthorized) == "UNAUTHORIZED");
  CHECK(to_string(kUnsupported) == "UNSUPPORTED");
  CHECK(to_string(kTagInvalid) == "TAG_INVALID");
  CHECK(to_string(kUnavailable) == "UNAVAILABLE");
  CHECK(to_string(kUnknown) == "UNKNOWN");
}
