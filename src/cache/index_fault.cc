// The handler makes one file and gives way to whatever handled the signal before; open(2) and sigaction(2)
// are among the few calls that may be made there.
#include "cache/index_fault.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <mutex>

namespace layover::cache {

namespace {

constexpr std::array<int, 4> kFaults{SIGBUS, SIGSEGV, SIGABRT, SIGFPE};

// NOLINTBEGIN(cppcoreguidelines-avoid-non-const-global-variables): a signal handler sees nothing else
thread_local const char* marker_of_thread = nullptr;
std::array<struct sigaction, kFaults.size()> former{};
std::once_flag is_installed;
// NOLINTEND(cppcoreguidelines-avoid-non-const-global-variables)

// The instruction that failed is run again after it, and then ends the process.
extern "C" void note_fault(int number) {
  const int saved = errno;
  if (marker_of_thread != nullptr) {
    const int fd = ::open(marker_of_thread, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
    if (fd >= 0) ::close(fd);
  }
  for (std::size_t i = 0; i < kFaults.size(); ++i) {
    if (kFaults.at(i) == number) ::sigaction(number, &former.at(i), nullptr);
  }
  errno = saved;
}

}  // namespace

void install_fault_notes() {
  for (std::size_t i = 0; i < kFaults.size(); ++i) {
    struct sigaction action{};
    action.sa_handler = note_fault;
    action.sa_flags = SA_ONSTACK;
    ::sigaction(kFaults.at(i), &action, &former.at(i));
  }
}

FaultNote::FaultNote(const std::string& marker) : outer_(marker_of_thread) {
  std::call_once(is_installed, install_fault_notes);
  marker_of_thread = marker.c_str();
}

FaultNote::~FaultNote() { marker_of_thread = outer_; }

}  // namespace layover::cache
