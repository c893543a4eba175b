// How many connections one place is asked over at once (`max_connections`): who comes when there are as many
// waits for its turn.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/deadline.h"
#include "base/error.h"
#include "cache/prefetch.h"
#include "net/signal.h"
#include "net/task.h"

namespace layover::upstream {

/// Shared (shared_ptr) by the loops and by its shares. Thread-safe.
class ConnectionLimit : public std::enable_shared_from_this<ConnectionLimit> {
 public:
  /// The right to use one connection, until it is destroyed, on whatever loop.
  class Share {
   public:
    Share(Share&& other) noexcept = default;
    Share& operator=(Share&& other) noexcept {
      std::swap(limit_, other.limit_);
      std::swap(prefetch_, other.prefetch_);
      return *this;
    }
    ~Share() {
      if (limit_) limit_->give_back(prefetch_.get());
    }

   private:
    friend class ConnectionLimit;
    explicit Share(std::shared_ptr<ConnectionLimit> limit,
                   std::shared_ptr<cache::Prefetch> prefetch = nullptr)
        : limit_(std::move(limit)), prefetch_(std::move(prefetch)) {}

    std::shared_ptr<ConnectionLimit> limit_;
    std::shared_ptr<cache::Prefetch> prefetch_;
  };

  /// `place` is for people.
  ConnectionLimit(unsigned most, std::string place) : most_(most), place_(std::move(place)) {}

  /// Who came first has its turn first. kOverloaded, of ourselves, where that is not by `deadline`.
  net::Task<Result<Share>> take(Deadline deadline);
  /// One that nobody needs, until somebody does: `prefetch` is told then. kCancelled where there is none now.
  Result<Share> take_spare(std::shared_ptr<cache::Prefetch> prefetch);
  /// Whether whoever comes now has to wait.
  bool is_taken_up() const;

 private:
  struct Waiting {
    bool has_share = false;  // under the limit's mutex
    const std::shared_ptr<net::Signal> turn = std::make_shared<net::Signal>();
  };
  class Place;

  std::unexpected<Error> refuse() const;
  void give_back(const cache::Prefetch* prefetch);

  const unsigned most_;
  const std::string place_;
  mutable std::mutex mutex_;
  unsigned taken_ = 0;
  std::deque<Waiting*> waiting_;              // of tasks that wait in take()
  std::vector<cache::Prefetch*> prefetches_;  // of spare shares
};

}  // namespace layover::upstream
