// Making certificates, and passing bytes between a TLS session and a plain connection.
#include "tests/support/tls_front.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <stdexcept>

#include "net/socket_address.h"
#include "net/tls.h"
#include "tests/support/temporary_directory.h"

namespace layover::test {

namespace {

template <typename T, void (*kFree)(T*)>
struct Free {
  void operator()(T* pointer) const { kFree(pointer); }
};
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY, EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Free<X509, X509_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Free<X509_EXTENSION, X509_EXTENSION_free>>;
using Context = std::unique_ptr<SSL_CTX, Free<SSL_CTX, SSL_CTX_free>>;

constexpr long kDay = 24L * 60 * 60;

void require(bool is_done, const char* what) {
  if (!is_done) throw std::runtime_error(what);
}

struct Identity {
  Key key;
  Certificate certificate;
};

void add_extension(X509* certificate, int nid, const char* value) {
  const Extension extension(X509V3_EXT_conf_nid(nullptr, nullptr, nid, value));
  require(extension && X509_add_ext(certificate, extension.get(), -1) == 1, "no certificate extension");
}

/// A certificate for `name`, signed by `issuer` (null: by itself), valid until `lifetime` seconds from now.
Identity make_identity(const char* name, const Identity* issuer, int extension, const char* value,
                       long lifetime) {
  static int serial = 0;
  Identity made{.key = Key(EVP_EC_gen("P-256")), .certificate = Certificate(X509_new())};
  X509* certificate = made.certificate.get();
  require(made.key && certificate != nullptr, "no key");
  X509_set_version(certificate, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -10 * kDay);
  X509_gmtime_adj(X509_getm_notAfter(certificate), lifetime);
  X509_set_pubkey(certificate, made.key.get());
  X509_NAME* subject = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(name), -1,
                             -1, 0);
  X509_set_issuer_name(certificate,
                       issuer != nullptr ? X509_get_subject_name(issuer->certificate.get()) : subject);
  add_extension(certificate, extension, value);
  const Key& signer = issuer != nullptr ? issuer->key : made.key;
  require(X509_sign(certificate, signer.get(), EVP_sha256()) > 0, "no signature");
  return made;
}

Identity make_authority(const char* name) {
  return make_identity(name, nullptr, NID_basic_constraints, "critical,CA:TRUE", 10 * kDay);
}

Identity make_server(const Identity& issuer, const char* address, long lifetime = 10 * kDay) {
  return make_identity("registry", &issuer, NID_subject_alt_name, address, lifetime);
}

Context make_context(const Identity& identity) {
  Context context(SSL_CTX_new(TLS_server_method()));
  require(context && SSL_CTX_use_certificate(context.get(), identity.certificate.get()) == 1 &&
              SSL_CTX_use_PrivateKey(context.get(), identity.key.get()) == 1,
          "no TLS context");
  return context;
}

/// All that is made once in the process.
struct Authority {
  TemporaryDirectory directory;
  std::string file = directory.path() + "/authority.pem";
  Identity trusted = make_authority("a trusted authority");
  Identity unknown = make_authority("an unknown authority");
  Context good = make_context(make_server(trusted, "IP:127.0.0.1"));
  Context expired = make_context(make_server(trusted, "IP:127.0.0.1", -kDay));
  Context wrong_host = make_context(make_server(trusted, "DNS:elsewhere.test"));
  Context unsigned_by_trusted = make_context(make_server(unknown, "IP:127.0.0.1"));

  Authority() {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> out(std::fopen(file.c_str(), "w"), &std::fclose);
    require(out && PEM_write_X509(out.get(), trusted.certificate.get()) == 1, "no authority file");
  }
  SSL_CTX* context(Handshake handshake) const {
    switch (handshake) {
      case Handshake::kExpired: return expired.get();
      case Handshake::kWrongHost: return wrong_host.get();
      case Handshake::kUnknownAuthority: return unsigned_by_trusted.get();
      default: return good.get();
    }
  }
};

const Authority& authority() {
  static const Authority instance;
  return instance;
}

UniqueFd make_socket() { return UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)); }

bool write_all(int fd, const char* bytes, std::size_t size) {
  while (size > 0) {
    const ssize_t n = ::send(fd, bytes, size, MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes += n;
    size -= static_cast<std::size_t>(n);
  }
  return true;
}

/// Until either side ends.
void pass_on(SSL* session, int plain) {
  std::array<char, 16384> chunk;  // NOLINT(*-member-init): filled by the reads
  for (;;) {
    std::array<pollfd, 2> ready{pollfd{.fd = SSL_get_fd(session), .events = POLLIN, .revents = 0},
                                pollfd{.fd = plain, .events = POLLIN, .revents = 0}};
    if (SSL_pending(session) == 0 && ::poll(ready.data(), ready.size(), -1) < 0) return;
    if (SSL_pending(session) > 0 || ready[0].revents != 0) {
      const int n = SSL_read(session, chunk.data(), chunk.size());
      if (n <= 0 || !write_all(plain, chunk.data(), static_cast<std::size_t>(n))) return;
    }
    if (ready[1].revents != 0) {
      const ssize_t n = ::recv(plain, chunk.data(), chunk.size(), 0);
      if (n <= 0 || SSL_write(session, chunk.data(), static_cast<int>(n)) <= 0) return;
    }
  }
}

}  // namespace

const std::string& trusted_authority_file() { return authority().file; }

TlsFront::TlsFront(std::uint16_t upstream_port, std::function<Handshake()> choose)
    : upstream_port_(upstream_port), choose_(std::move(choose)) {
  authority();
  listening_ = make_socket();
  const auto address = net::numeric_address("127.0.0.1", 0).at(0);
  require(
      ::bind(listening_.get(), address.get(), address.length) == 0 && ::listen(listening_.get(), 256) == 0,
      "the TLS front cannot listen");
  port_ = net::local_address(listening_.get()).port();
  acceptor_ = std::thread([this] { accept_all(); });
}

TlsFront::~TlsFront() {
  ::shutdown(listening_.get(), SHUT_RDWR);
  acceptor_.join();
  for (const auto& conversation : conversations_) ::shutdown(conversation->fd.get(), SHUT_RDWR);
  for (const auto& conversation : conversations_) conversation->thread.join();
}

void TlsFront::accept_all() {
  for (;;) {
    UniqueFd fd(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!fd.is_open()) return;
    auto conversation = std::make_unique<Conversation>();
    conversation->fd = std::move(fd);
    const std::lock_guard lock(mutex_);
    conversation->thread = std::thread([this, raw = conversation->fd.get()] { converse(raw); });
    conversations_.push_back(std::move(conversation));
  }
}

void TlsFront::converse(int fd) const {
  const Handshake handshake = choose_();
  if (handshake != Handshake::kCutOff) {
    const net::SslPointer session(SSL_new(authority().context(handshake)));
    SSL_set_fd(session.get(), fd);
    const UniqueFd plain = make_socket();
    const auto upstream = net::numeric_address("127.0.0.1", upstream_port_).at(0);
    if (SSL_accept(session.get()) == 1 && ::connect(plain.get(), upstream.get(), upstream.length) == 0) {
      pass_on(session.get(), plain.get());
    }
  }
  ::shutdown(fd, SHUT_RDWR);
}

}  // namespace layover::test
