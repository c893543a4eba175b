// What to put into Authorization: bearer tokens and Basic credentials, by registry and repository. One
// refresh at a time however many requests wait for it; a failed one is told to those who waited and
// then forgotten.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/deadline.h"
#include "base/error.h"
#include "net/keyed_table.h"
#include "net/signal.h"
#include "net/task.h"

namespace layover::upstream {

/// A value for the Authorization header, good until shortly before the token expires.
struct Authorization {
  std::string value;
  Deadline renew_at = Deadline::never();
};

/// Shared by all loops; thread-safe.
class TokenTable {
 public:
  /// The current authorization for `key` (a registry and a repository); empty if there is none.
  std::string current(const std::string& key) const;

  using Refresh = std::function<net::Task<Result<Authorization>>()>;
  /// An authorization other than `refused` (which upstream has just turned down; may be empty): the one
  /// that somebody else got in the meantime, or what `refresh` gets. `refresh` must stay callable until
  /// the task ends.
  net::Task<Result<std::string>> renew(std::string key, std::string refused, const Refresh& refresh,
                                       Deadline deadline);

 private:
  struct Slot {
    std::mutex mutex;
    std::shared_ptr<net::Signal> settled = std::make_shared<net::Signal>();
    Authorization authorization;
    bool is_refreshing = false;
    std::uint64_t failures = 0;
    std::optional<Error> last_failure;  // of the refresh that has just ended
  };
  class Refreshing;

  std::shared_ptr<Slot> slot_of(const std::string& key);

  net::KeyedTable<std::string, Slot> slots_;
};

}  // namespace layover::upstream
