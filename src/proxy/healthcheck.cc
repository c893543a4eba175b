// Plain sockets and poll(2): one request, of whose answer only the status line counts.
#include "proxy/healthcheck.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "base/unique_fd.h"
#include "net/socket_address.h"

namespace layover::proxy {

namespace {

/// A status line has less; who sends more before its end does not speak HTTP.
constexpr std::size_t kMaxStatusLine = 1024;

std::unexpected<Error> timed_out() {
  return failure(ErrorCode::kTimeout, ErrorSource::kSelf, "no answer in time");
}

Result<void> wait_for(int fd, short events, Deadline deadline) {
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline.instant() - Deadline::Clock::now()).count();
    if (left <= 0) return timed_out();
    pollfd waiting{.fd = fd, .events = events, .revents = 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(left));
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR) return std::unexpected(system_error(errno, ErrorSource::kSelf, "poll"));
  }
}

Result<UniqueFd> connect_to(const net::SocketAddress& address, Deadline deadline) {
  UniqueFd fd(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.is_open()) return std::unexpected(system_error(errno, ErrorSource::kSelf, "making a socket"));
  int problem = ::connect(fd.get(), address.get(), address.length) == 0 ? 0 : errno;
  if (problem == EINPROGRESS) {
    if (auto ready = wait_for(fd.get(), POLLOUT, deadline); !ready) return std::unexpected(ready.error());
    socklen_t length = sizeof problem;
    ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &problem, &length);
  }
  if (problem != 0) return std::unexpected(system_error(problem, ErrorSource::kSelf, "connecting"));
  return fd;
}

Result<std::string> read_status_line(int fd, Deadline deadline) {
  std::string text;
  std::array<char, 256> part{};
  while (text.size() < kMaxStatusLine) {
    if (auto ready = wait_for(fd, POLLIN, deadline); !ready) return std::unexpected(ready.error());
    const ssize_t n = ::recv(fd, part.data(), part.size(), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (n < 0) return std::unexpected(system_error(errno, ErrorSource::kSelf, "receiving"));
    text.append(part.data(), static_cast<std::size_t>(n));
    if (const auto end = text.find("\r\n"); end != std::string::npos) return text.substr(0, end);
    if (n == 0) break;
  }
  return failure(ErrorCode::kProtocol, ErrorSource::kSelf, "the answer is not HTTP");
}

Result<std::string> ask(const config::Endpoint& admin, Deadline deadline) {
  const auto addresses = net::numeric_address(admin.host, admin.port);
  if (addresses.empty()) return failure(ErrorCode::kInvalid, ErrorSource::kSelf, "it is no address");
  auto fd = connect_to(addresses.front(), deadline);
  if (!fd) return std::unexpected(fd.error());
  const std::string request = fmt::format("GET /livez HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
                                          addresses.front().to_string());
  // A fresh connection's buffer takes so few bytes at once.
  const ssize_t sent = ::send(fd->get(), request.data(), request.size(), MSG_NOSIGNAL);
  if (sent != static_cast<ssize_t>(request.size())) {
    return std::unexpected(system_error(sent < 0 ? errno : EAGAIN, ErrorSource::kSelf, "sending"));
  }
  return read_status_line(fd->get(), deadline);
}

bool says_ok(std::string_view status_line) {
  const auto space = status_line.find(' ');
  return status_line.starts_with("HTTP/1.") && space != std::string_view::npos &&
         status_line.substr(space + 1).starts_with("200");
}

}  // namespace

Result<void> check_health(const config::Endpoint& admin, Deadline deadline) {
  const std::string where = fmt::format("http://{}/livez", config::to_string(admin));
  const auto status_line = ask(admin, deadline);
  if (!status_line) return std::unexpected(status_line.error().within(where));
  if (says_ok(*status_line)) return {};
  return failure(ErrorCode::kStatus, ErrorSource::kSelf, fmt::format("{} answers {}", where, *status_line));
}

}  // namespace layover::proxy
