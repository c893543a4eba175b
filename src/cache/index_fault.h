// What is left behind where a damaged index kills the process. LMDB reads its file through memory and does
// not check its pages: one that lies beyond a truncated file, on a bad sector, or holds garbage may be a
// fault.
#pragma once

#include <string>

namespace layover::cache {

/// Handles these signals from now on; what handled them before comes after. The first note does it; again
/// only for who has set handlers since.
void install_fault_notes();

/// While one lives, a fault of this thread (SIGBUS, SIGSEGV, SIGABRT) leaves the empty file `marker`, for the
/// next start, before it ends the process as ever. Nests; costs no system call.
class FaultNote {
 public:
  /// `marker` outlives this.
  explicit FaultNote(const std::string& marker);
  FaultNote(const FaultNote&) = delete;
  FaultNote& operator=(const FaultNote&) = delete;
  ~FaultNote();

 private:
  const char* outer_;
};

}  // namespace layover::cache
