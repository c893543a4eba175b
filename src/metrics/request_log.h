// The request log: one line for each request of a client, as text or JSON. docs/logs.md has its fields. It
// is given the parsed route, never a query or a header that may hold a secret.
#pragma once

#include <atomic>
#include <string_view>

#include "base/clock.h"
#include "base/line_writer.h"
#include "base/log.h"
#include "metrics/metrics.h"

namespace layover::metrics {

/// How an answer ended.
enum class Ending {
  kComplete,
  kClientLeft,  // the client has gone, or took nothing for too long
  kCutOff,      // short of its end, by us: upstream or the disk failed midway, or layover is stopping
};

std::string_view to_string(Ending ending);

/// What is logged of one request. The texts need to live for the call only, may hold anything, and are empty
/// where nothing is known.
struct RequestLine {
  const RequestRecord& record;
  std::string_view client{};      // IP address
  std::string_view method{};      // as sent
  std::string_view registry{};    // the route: what was asked for, whether or not it is allowed
  std::string_view repository{};  // as the registry itself knows it
  std::string_view reference{};
  std::string_view path{};  // of a request that is no route; without its query
  bool is_upstream_asked = false;
  Ending ending = Ending::kComplete;
  std::string_view user_agent{};
  std::string_view request_id{};
};

/// Thread-safe. Outlives all that write to it.
class RequestLog {
 public:
  /// Lines go to `fd`, which stays the caller's; those that do not fit while it is stuck are dropped, and the
  /// program's log tells how many. `clock` outlives the log.
  RequestLog(int fd, LogFormat format, const Clock& clock);

  /// Never waits. The line's time is now: the end of the request.
  void write(const RequestLine& line);
  /// For lines that are written from now on.
  void set_format(LogFormat format) { format_.store(format, std::memory_order_relaxed); }

 private:
  std::atomic<LogFormat> format_;
  const Clock& clock_;
  LineWriter writer_;
};

}  // namespace layover::metrics
