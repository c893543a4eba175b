// A certificate authority for configurations that name one.
#pragma once

#include <string_view>

namespace layover::test {

inline constexpr std::string_view kCertificate = R"(-----BEGIN CERTIFICATE-----
MIIBfDCCASGgAwIBAgIUVO4CpSMw+S/uxUwSrk4uTPiW4QgwCgYIKoZIzj0EAwIw
EjEQMA4GA1UEAwwHY2EudGVzdDAgFw0yNjExMjgwOTU5MTVaGA8yMTI2MTEwNDA5
NTkxNVowEjEQMA4GA1UEAwwHY2EudGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEH
A0IABCBUOhCJZHsPhKoTzZgK9EwMvB+E8r4rIrUoC9NBG/1+3+t60/tWa9s/is60
QDkmwdKU5RPW9b2CBSMK+liWQLyjUzBRMB0GA1UdDgQWBBSY179qjw07/rHSt77Y
5h4PwUV2pzAfBgNVHSMEGDAWgBSY179qjw07/rHSt77Y5h4PwUV2pzAPBgNVHRMB
Af8EBTADAQH/MAoGCCqGSM49BAMCA0kAMEYCIQC7D0jTzc1KhX4LKMfpWiXualIF
on9rWqWwaPtGrLy3kgIhAPG4mayAZq2iJckXM3Q2aD7GZpGuj+0j4cYvFx+EJSRq
-----END CERTIFICATE-----
)";

}  // namespace layover::test
