// One datagram for each word, as sd_notify(3) has it; libsystemd would be a dependency for these lines.
#include "proxy/service_manager.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string_view>

#include <fmt/format.h>

#include "base/unique_fd.h"

namespace layover::proxy {

ServiceManager ServiceManager::of_process() {
  const char* socket = std::getenv("NOTIFY_SOCKET");
  return ServiceManager(socket == nullptr ? "" : socket);
}

Result<void> ServiceManager::tell_reloading() const {
  // The manager wants the time, so as not to take an older READY for this reload's.
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  const auto microseconds = std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000;
  return tell(fmt::format("RELOADING=1\nMONOTONIC_USEC={}", microseconds));
}

Result<void> ServiceManager::tell(std::string_view state) const {
  if (socket_.empty()) return {};
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const bool is_name = socket_.starts_with('/') || socket_.starts_with('@');
  if (!is_name || socket_.size() >= sizeof address.sun_path) {
    return failure(ErrorCode::kInvalid, ErrorSource::kSelf,
                   fmt::format("NOTIFY_SOCKET is {}, which is no socket", socket_));
  }
  std::memcpy(address.sun_path, socket_.data(), socket_.size());
  // unix(7): an abstract name begins with a zero byte and ends where the address does.
  if (socket_.front() == '@') address.sun_path[0] = '\0';
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_.size());

  const UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const bool is_told = fd.is_open() && ::sendto(fd.get(), state.data(), state.size(), MSG_NOSIGNAL,
                                                reinterpret_cast<const sockaddr*>(&address), length) >= 0;
  if (is_told) return {};
  return std::unexpected(
      system_error(errno, ErrorSource::kSelf, fmt::format("telling {} to {}", state, socket_)));
}

}  // namespace layover::proxy
