// posix_spawn(3), a socket pair for standard input (so that a program which reads nothing raises no SIGPIPE),
// a pipe for standard output, and a descriptor of the process for its end.
#include "upstream/program.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <utility>

#include <fmt/format.h>

#include "base/unique_fd.h"

namespace layover::upstream {
namespace {

struct Pipe {
  UniqueFd ours;
  UniqueFd theirs;
};

Error trouble(int system_errno, const std::string& what) {
  return system_error(system_errno, ErrorSource::kSelf, what);
}

Result<Pipe> open_input() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return std::unexpected(trouble(errno, "a socket pair cannot be made"));
  }
  return Pipe{.ours = UniqueFd(ends[0]), .theirs = UniqueFd(ends[1])};
}

Result<Pipe> open_output() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return std::unexpected(trouble(errno, "a pipe cannot be made"));
  return Pipe{.ours = UniqueFd(ends[0]), .theirs = UniqueFd(ends[1])};
}

/// What is inherited is put right: layover's threads block the signals that end it, and ignore SIGPIPE.
struct SpawnAttributes {
  SpawnAttributes() {
    sigset_t none;
    sigemptyset(&none);
    sigset_t pipe_signal = none;
    sigaddset(&pipe_signal, SIGPIPE);
    posix_spawnattr_init(&value);
    posix_spawnattr_setsigmask(&value, &none);
    posix_spawnattr_setsigdefault(&value, &pipe_signal);
    posix_spawnattr_setpgroup(&value, 0);
    posix_spawnattr_setflags(&value, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  }
  SpawnAttributes(const SpawnAttributes&) = delete;
  SpawnAttributes& operator=(const SpawnAttributes&) = delete;
  ~SpawnAttributes() { posix_spawnattr_destroy(&value); }

  posix_spawnattr_t value{};
};

struct SpawnFiles {
  SpawnFiles(int input, int output) {
    posix_spawn_file_actions_init(&value);
    posix_spawn_file_actions_adddup2(&value, input, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&value, output, STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&value, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  }
  SpawnFiles(const SpawnFiles&) = delete;
  SpawnFiles& operator=(const SpawnFiles&) = delete;
  ~SpawnFiles() { posix_spawn_file_actions_destroy(&value); }

  posix_spawn_file_actions_t value{};
};

/// A child that is ended and reaped with this object.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid), ended_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ != 0) wait();
  }

  /// Readable once it has ended.
  const UniqueFd& ended() const { return ended_; }
  /// Ends what is left of its group and gives the status that waitpid(2) tells.
  int wait() {
    const pid_t pid = std::exchange(pid_, 0);
    // Until it is reaped, its number and its group's are nobody else's.
    ::kill(-pid, SIGKILL);
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
  }

 private:
  pid_t pid_;
  UniqueFd ended_;
};

Result<pid_t> spawn(const std::vector<std::string>& arguments, int input, int output) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const SpawnAttributes attributes;
  const SpawnFiles files(input, output);
  pid_t pid = 0;
  const int failed =
      ::posix_spawnp(&pid, argv.front(), &files.value, &attributes.value, argv.data(), environ);
  if (failed != 0) return std::unexpected(trouble(failed, arguments.front() + " cannot be started"));
  return pid;
}

int milliseconds_until(Deadline deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline.instant() - Deadline::Clock::now());
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 3'600'000));
}

/// Waits until the descriptor has something to tell; false at the deadline.
bool wait_for(const UniqueFd& fd, Deadline deadline) {
  pollfd polled{.fd = fd.get(), .events = POLLIN, .revents = 0};
  for (;;) {
    if (::poll(&polled, 1, milliseconds_until(deadline)) > 0) return true;
    if (deadline.has_passed()) return false;
  }
}

std::unexpected<Error> too_slow(const std::string& program) {
  return failure(ErrorCode::kTimeout, ErrorSource::kSelf, program + " took too long and was ended");
}

/// All that the program writes until it closes its output.
Result<std::string> read_output(const std::string& program, const UniqueFd& output, Bytes most,
                                Deadline deadline) {
  std::string text;
  std::array<char, 4096> buffer{};
  for (;;) {
    if (!wait_for(output, deadline)) return too_slow(program);
    const ssize_t count = ::read(output.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return std::unexpected(trouble(errno, program + " cannot be read from"));
    if (count == 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(count));
    if (text.size() > most.count) {
      return failure(ErrorCode::kTooLarge, ErrorSource::kSelf,
                     fmt::format("{} wrote more than {} bytes and was ended", program, most.count));
    }
  }
}

}  // namespace

Result<std::string> run_program(const std::vector<std::string>& arguments, std::string_view input, Bytes most,
                                Deadline deadline) {
  auto asking = open_input();
  if (!asking) return std::unexpected(asking.error());
  auto answering = open_output();
  if (!answering) return std::unexpected(answering.error());
  const auto pid = spawn(arguments, asking->theirs.get(), answering->theirs.get());
  if (!pid) return std::unexpected(pid.error());
  Child child(*pid);
  asking->theirs = UniqueFd();
  answering->theirs = UniqueFd();

  const std::string& program = arguments.front();
  // The question fits the socket's buffer; that the program does not want it is its own affair.
  (void)::send(asking->ours.get(), input.data(), input.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  asking->ours = UniqueFd();
  auto text = read_output(program, answering->ours, most, deadline);
  if (!text) return text;
  if (!wait_for(child.ended(), deadline)) return too_slow(program);
  const int status = child.wait();
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return text;
  const std::string end = WIFEXITED(status) ? fmt::format("status {}", WEXITSTATUS(status))
                                            : fmt::format("signal {}", WTERMSIG(status));
  return failure(ErrorCode::kProtocol, ErrorSource::kSelf, fmt::format("{} ended with {}", program, end));
}

}  // namespace layover::upstream
