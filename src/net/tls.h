// TLS for outgoing connections: verification on, host name checked, SNI sent. One context per set of
// trusted authorities.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "base/error.h"

namespace layover::net {

struct FreeSsl {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};
using SslPointer = std::unique_ptr<SSL, FreeSsl>;

/// Thread-safe once made; shared by all connections that trust the same authorities.
class TlsContext {
 public:
  /// Trusts the system's authorities and, where `ca_file` is not empty, those in that PEM file too (a
  /// private registry may redirect to a public store).
  static Result<std::shared_ptr<const TlsContext>> client(const std::string& ca_file);

  /// A client session for a connection to `host` (a name or a numeric address) on `fd`. kTls where it
  /// cannot be set up to check the host.
  Result<SslPointer> open(const std::string& host, int fd) const;

 private:
  struct FreeContext {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  };
  std::unique_ptr<SSL_CTX, FreeContext> context_;
};

/// What went wrong in the call on `ssl` that just failed, with the certificate's problem if it has one.
/// Empties OpenSSL's error queue.
Error tls_error(const SSL* ssl, ErrorSource source, const std::string& what);

}  // namespace layover::net
