// By the function that OpenSSL itself reads such files with, so that both accept the same.
#include "config/certificates.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <memory>

#include <fmt/format.h>

namespace layover::config {

namespace {

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(STACK_OF(X509_INFO) * found) const { sk_X509_INFO_pop_free(found, &X509_INFO_free); }
};

std::unexpected<Error> problem(std::string_view what) {
  return failure(ErrorCode::kInvalid, ErrorSource::kSelf, std::string(what));
}

}  // namespace

Result<void> check_certificates(std::string_view pem) {
  ERR_clear_error();
  const std::unique_ptr<BIO, Free> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const std::unique_ptr<STACK_OF(X509_INFO), Free> found(
      PEM_X509_INFO_read_bio(bio.get(), nullptr, nullptr, nullptr));
  if (!found) {
    const char* reason = ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    return problem(fmt::format("has a certificate that cannot be read: {}", reason ? reason : "unknown"));
  }
  for (int i = 0; i < sk_X509_INFO_num(found.get()); ++i) {
    if (sk_X509_INFO_value(found.get(), i)->x509 != nullptr) return {};
  }
  return problem("has no certificate in PEM form");
}

}  // namespace layover::config
