// OpenSSL set up for registries.
#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <array>
#include <utility>

#include <fmt/format.h>

#include "net/socket_address.h"

namespace layover::net {

namespace {

std::string next_openssl_reason() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "the peer closed the connection";
  const char* reason = ERR_reason_error_string(code);
  if (reason != nullptr) return reason;
  std::array<char, 256> text{};
  ERR_error_string_n(code, text.data(), text.size());
  return text.data();
}

}  // namespace

Result<std::shared_ptr<const TlsContext>> TlsContext::client(const std::string& ca_file) {
  auto made = std::make_shared<TlsContext>();
  made->context_.reset(SSL_CTX_new(TLS_client_method()));
  SSL_CTX* context = made->context_.get();
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
  const bool is_loaded = SSL_CTX_set_default_verify_paths(context) == 1 &&
                         (ca_file.empty() || SSL_CTX_load_verify_file(context, ca_file.c_str()) == 1);
  if (!is_loaded) {
    return failure(ErrorCode::kTls, ErrorSource::kSelf,
                   fmt::format("the certificate authorities in {} cannot be read: {}",
                               ca_file.empty() ? "the system's store" : ca_file, next_openssl_reason()));
  }
  return std::shared_ptr<const TlsContext>(std::move(made));
}

Result<SslPointer> TlsContext::open(const std::string& host, int fd) const {
  SslPointer ssl(SSL_new(context_.get()));
  bool is_set_up = ssl != nullptr;
  if (is_set_up && numeric_address(host, 0).empty()) {
    SSL_set_hostflags(ssl.get(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    is_set_up =
        SSL_set_tlsext_host_name(ssl.get(), host.c_str()) == 1 && SSL_set1_host(ssl.get(), host.c_str()) == 1;
  } else if (is_set_up) {
    is_set_up = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl.get()), host.c_str()) == 1;
  }
  is_set_up = is_set_up && SSL_set_fd(ssl.get(), fd) == 1;
  if (!is_set_up) {
    return failure(ErrorCode::kTls, ErrorSource::kSelf,
                   fmt::format("TLS with {} cannot be set up: {}", host, next_openssl_reason()));
  }
  SSL_set_connect_state(ssl.get());
  return ssl;
}

Error tls_error(const SSL* ssl, ErrorSource source, const std::string& what) {
  const std::string reason = next_openssl_reason();
  const long verified = SSL_get_verify_result(ssl);
  if (verified != X509_V_OK) {
    return {
        ErrorCode::kTls, source,
        fmt::format("{}: the certificate is not trusted: {}", what, X509_verify_cert_error_string(verified))};
  }
  return {ErrorCode::kTls, source, fmt::format("{}: {}", what, reason)};
}

}  // namespace layover::net
