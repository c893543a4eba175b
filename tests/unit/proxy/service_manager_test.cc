// The words to the service manager, heard on real sockets as systemd makes them.
#include "proxy/service_manager.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <stdexcept>
#include <string>

#include "base/random.h"
#include "base/unique_fd.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_directory.h"

using layover::ErrorCode;
using layover::proxy::ServiceManager;

namespace {

/// Listens at a name as NOTIFY_SOCKET has it.
class Listener {
 public:
  explicit Listener(const std::string& name) : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name.data(), name.size());
    if (name.front() == '@') address.sun_path[0] = '\0';
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    if (::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0) {
      throw std::runtime_error("cannot listen at " + name);
    }
  }

  /// The next datagram; empty where none has come.
  std::string next() const {
    std::array<char, 256> text{};
    const ssize_t n = ::recv(fd_.get(), text.data(), text.size(), MSG_DONTWAIT);
    return n < 0 ? std::string() : std::string(text.data(), static_cast<std::size_t>(n));
  }

 private:
  layover::UniqueFd fd_;
};

void check_that_it_hears(const std::string& name) {
  const Listener listener(name);
  const ServiceManager manager(name);
  REQUIRE(manager.tell_ready());
  CHECK(listener.next() == "READY=1");
  REQUIRE(manager.tell_reloading());
  CHECK_THAT(listener.next(), Catch::Matchers::StartsWith("RELOADING=1\nMONOTONIC_USEC="));
  REQUIRE(manager.tell_stopping());
  CHECK(listener.next() == "STOPPING=1");
  CHECK(listener.next().empty());
}

}  // namespace

TEST_CASE("a service manager at a path hears each word as one datagram") {
  const layover::test::TemporaryDirectory directory;
  check_that_it_hears(directory.path() + "/notify");
}

TEST_CASE("a service manager with an abstract name hears the same") {
  check_that_it_hears("@layover-test-" + layover::Random::system().next_hex());
}

TEST_CASE("without a service manager nothing is told, and nothing fails") {
  CHECK(ServiceManager("").tell_ready());
  CHECK(ServiceManager("").tell_stopping());
}

TEST_CASE("a service manager that is not there, or cannot be, is named") {
  const layover::test::TemporaryDirectory directory;
  const auto gone = ServiceManager(directory.path() + "/gone").tell_ready();
  REQUIRE_FALSE(gone);
  CHECK(gone.error().message().find(directory.path() + "/gone") != std::string::npos);
  for (const std::string& name : {std::string("relative"), "/" + std::string(200, 'x')}) {
    const auto told = ServiceManager(name).tell_ready();
    REQUIRE_FALSE(told);
    CHECK(told.error().code() == ErrorCode::kInvalid);
  }
}
