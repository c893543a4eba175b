// What to put into Authorization: bearer tokens and Basic credentials, by registry and repository. One
// refresh at a time however many requests wait for it; a failed one is told to those who waited and
// then forgotten.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "base/deadline.h"
#include "base/error.h"
#include "net/keyed_table.h"
#include "net/signal.h"
#include "net/task.h"
#include "upstream/challenge.h"

namespace layover::upstream {

/// A value for the Authorization header, good until shortly before the token expires.
struct Authorization {
  std::string value;
  Authentication challenge{};  // what asked for it
  Deadline renew_at = Deadline::never();
};

/// Shared by all loops; thread-safe. Outlives every refresh.
class TokenTable {
 public:
  /// Why another authorization is wanted: the one shown was turned down by a challenge, or the answer is one
  /// that expired credentials get too. Whoever only doubts makes no more than one refresh in a minute.
  enum class Why { kChallenged, kInDoubt };

  /// The current authorization for `key` (a registry and a repository); without a value if there is none.
  Authorization current(const std::string& key) const;

  class Refreshing;
  /// Starts a refresh that runs on its own, whatever becomes of the request that needed it first.
  using StartRefresh = std::function<void(Refreshing)>;
  /// An authorization other than `refused` (which upstream has just turned down; may be empty) that somebody
  /// else got in the meantime, or what one refresh gets by `deadline`: perhaps `refused` again, where there
  /// is nothing better.
  net::Task<Result<std::string>> renew(std::string key, std::string refused, Why why, StartRefresh start,
                                       Deadline deadline);

 private:
  struct Slot {
    std::mutex mutex;
    std::shared_ptr<net::Signal> settled = std::make_shared<net::Signal>();
    Authorization authorization;
    bool is_refreshing = false;
    Deadline doubted_until = Deadline::at({});  // no refresh out of doubt before
    std::uint64_t refreshes = 0;                // that have ended
    std::optional<Error> last_failure;          // of the last of them, if it failed
  };

  std::shared_ptr<Slot> slot_of(const std::string& key);

  net::KeyedTable<std::string, Slot> slots_;
};

/// The right and the duty to refresh one slot. Ended without a result, it lets the next in line try.
class TokenTable::Refreshing {
 public:
  Refreshing(Refreshing&&) noexcept = default;
  Refreshing& operator=(Refreshing&&) = delete;
  ~Refreshing();

  /// Tells those who wait. Once.
  void settle(Result<Authorization> result);

 private:
  friend class TokenTable;
  explicit Refreshing(std::shared_ptr<Slot> slot) : slot_(std::move(slot)) {}

  std::shared_ptr<Slot> slot_;  // null once settled or moved from
};

}  // namespace layover::upstream
