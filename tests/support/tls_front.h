// TLS in front of a scripted upstream, with a certificate that is right or wrong in one way. Blocking, a
// thread a connection; certificates are made when they are first used.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.h"

namespace layover::test {

/// How a connection's handshake goes.
enum class Handshake {
  kGood,
  kExpired,           // the certificate's time is over
  kWrongHost,         // it is another host's
  kUnknownAuthority,  // nobody that the client trusts has signed it
  kCutOff,            // the connection ends where the server's part should come
};

/// The PEM file of the authority that signs all good certificates; there until the process ends.
const std::string& trusted_authority_file();

class TlsFront {
 public:
  /// Listens on a free port of 127.0.0.1 and passes what comes on to `upstream_port` there. `choose` says, on
  /// the connection's thread, how its handshake is to go; it may wait.
  TlsFront(std::uint16_t upstream_port, std::function<Handshake()> choose);
  TlsFront(const TlsFront&) = delete;
  TlsFront& operator=(const TlsFront&) = delete;
  /// `choose` must not wait any more.
  ~TlsFront();

  std::uint16_t port() const { return port_; }

 private:
  struct Conversation {
    UniqueFd fd;
    std::thread thread;
  };

  void accept_all();
  void converse(int fd) const;

  std::uint16_t upstream_port_;
  std::function<Handshake()> choose_;
  UniqueFd listening_;
  std::uint16_t port_ = 0;
  std::mutex mutex_;  // guards conversations_
  std::vector<std::unique_ptr<Conversation>> conversations_;
  std::thread acceptor_;
};

}  // namespace layover::test
