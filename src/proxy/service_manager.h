// What layover tells the service manager that started it (sd_notify(3), systemd's Type=notify): that it
// serves, reloads, and is ending. Where none is listening, nothing is told.
#pragma once

#include <string>
#include <utility>

#include "base/error.h"

namespace layover::proxy {

/// Any thread. What cannot be told is an error for the log; it never keeps layover from serving.
class ServiceManager {
 public:
  /// The one that NOTIFY_SOCKET names; none where that is not set.
  static ServiceManager of_process();
  /// `socket` is a path, or "@" and a name in the abstract namespace; empty: none.
  explicit ServiceManager(std::string socket) : socket_(std::move(socket)) {}

  /// From now on requests are served.
  Result<void> tell_ready() const { return tell("READY=1"); }
  /// The configuration is being read again, until tell_ready().
  Result<void> tell_reloading() const;
  /// From now on it is ending; the manager's own time limit for that begins.
  Result<void> tell_stopping() const { return tell("STOPPING=1"); }

 private:
  Result<void> tell(std::string_view state) const;

  std::string socket_;
};

}  // namespace layover::proxy
