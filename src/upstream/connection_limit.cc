// A share that is given back goes to who waits longest, without being free in between: nobody who comes just
// then is before it.
#include "upstream/connection_limit.h"

#include <algorithm>

#include <fmt/format.h>

namespace layover::upstream {

/// One task's place among those that wait, however the task ends: a share that nobody takes goes on.
class ConnectionLimit::Place {
 public:
  explicit Place(ConnectionLimit& limit) : limit_(limit) {}
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() {
    {
      const std::lock_guard lock(limit_.mutex_);
      std::erase(limit_.waiting_, &waiting_);
      if (!waiting_.has_share) return;
    }
    limit_.give_back(nullptr);
  }

  Waiting& waiting() { return waiting_; }
  bool take_share() {
    const std::lock_guard lock(limit_.mutex_);
    return std::exchange(waiting_.has_share, false);
  }

 private:
  ConnectionLimit& limit_;
  Waiting waiting_;
};

net::Task<Result<ConnectionLimit::Share>> ConnectionLimit::take(Deadline deadline) {
  const auto self = shared_from_this();
  Place place(*this);
  const auto& turn = place.waiting().turn;
  auto seen = turn->version();
  {
    const std::lock_guard lock(mutex_);
    if (taken_ < most_) {
      ++taken_;
      co_return Share(self);
    }
    waiting_.push_back(&place.waiting());
    for (cache::Prefetch* prefetch : prefetches_) prefetch->give_way();
  }
  for (;;) {
    auto changed = co_await turn->changed(seen, deadline);
    // Also where the deadline has passed: it may have come together with the share.
    if (place.take_share()) co_return Share(self);
    if (!changed) co_return refuse();
    seen = turn->version();
  }
}

Result<ConnectionLimit::Share> ConnectionLimit::take_spare(std::shared_ptr<cache::Prefetch> prefetch) {
  const std::lock_guard lock(mutex_);
  if (taken_ == most_) {
    return failure(ErrorCode::kCancelled, ErrorSource::kSelf,
                   fmt::format("all of the {} connections that {} may have are in use", most_, place_));
  }
  ++taken_;
  prefetches_.push_back(prefetch.get());
  return Share(shared_from_this(), std::move(prefetch));
}

bool ConnectionLimit::is_taken_up() const {
  const std::lock_guard lock(mutex_);
  return taken_ >= most_;
}

std::unexpected<Error> ConnectionLimit::refuse() const {
  return failure(ErrorCode::kOverloaded, ErrorSource::kSelf,
                 fmt::format("all of the {} connections that {} may have (max_connections) stayed in use",
                             most_, place_));
}

void ConnectionLimit::give_back(const cache::Prefetch* prefetch) {
  std::shared_ptr<net::Signal> next;
  {
    const std::lock_guard lock(mutex_);
    // One of them: a download may have several.
    if (const auto spare = std::ranges::find(prefetches_, prefetch); spare != prefetches_.end())
      prefetches_.erase(spare);
    if (waiting_.empty()) {
      --taken_;
      return;
    }
    waiting_.front()->has_share = true;
    next = waiting_.front()->turn;
    waiting_.pop_front();
  }
  next->notify();
}

}  // namespace layover::upstream
