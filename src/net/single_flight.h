// One run at a time for each key, however many tasks on whatever loops want its result. The run belongs to
// nobody who waits: each of them has its own deadline and may leave.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "base/deadline.h"
#include "base/error.h"
#include "net/keyed_table.h"
#include "net/signal.h"
#include "net/task.h"

namespace layover::net {

/// Thread-safe. Outlives every run. Results are copied to all who wait, and not kept: what is worth keeping
/// is kept by the run, before it settles.
template <typename Key, typename Value, typename Hash = std::hash<Key>>
class SingleFlight {
  struct Flight {
    std::mutex mutex;
    std::shared_ptr<Signal> landed = std::make_shared<Signal>();
    std::optional<Result<Value>> result;
  };

 public:
  /// The right and the duty to end one run. Ended without a result, those who wait get kCancelled.
  class Duty {
   public:
    Duty(Duty&& other) noexcept
        : flights_(other.flights_),
          key_(std::move(other.key_)),
          flight_(std::exchange(other.flight_, nullptr)) {}
    Duty& operator=(Duty&&) = delete;
    ~Duty() {
      if (flight_ != nullptr)
        settle(failure(ErrorCode::kCancelled, ErrorSource::kSelf, "layover is stopping"));
    }

    /// Tells those who wait. Once.
    void settle(Result<Value> result) {
      const auto flight = std::exchange(flight_, nullptr);
      flights_->flights_.erase(key_, flight);
      {
        const std::lock_guard lock(flight->mutex);
        flight->result = std::move(result);
      }
      flight->landed->notify();
    }

   private:
    friend class SingleFlight;
    Duty(SingleFlight& flights, Key key, std::shared_ptr<Flight> flight)
        : flights_(&flights), key_(std::move(key)), flight_(std::move(flight)) {}

    SingleFlight* flights_;
    Key key_;
    std::shared_ptr<Flight> flight_;  // null once settled or moved from
  };

  using Known = std::function<std::optional<Value>()>;
  using Start = std::function<void(Duty)>;

  /// The result of the run for `key`; nothing where it has none by the deadline. Where no run is under way,
  /// `known` is asked once more under the key's lock, for what a run that has just ended has left; only then
  /// `start` begins one, apart from the calling task. Both are called before the first suspension.
  Task<std::optional<Result<Value>>> join(Key key, Known known, Start start, Deadline deadline) {
    std::optional<Value> left;
    auto [flight, is_new] = flights_.find_or_insert(key, [&]() -> std::shared_ptr<Flight> {
      left = known();
      return left ? nullptr : std::make_shared<Flight>();
    });
    if (left) co_return Result<Value>(std::move(*left));
    if (is_new) start(Duty(*this, key, flight));
    for (;;) {
      const auto seen = flight->landed->version();
      {
        const std::lock_guard lock(flight->mutex);
        if (flight->result) co_return flight->result;
      }
      auto landed = co_await flight->landed->changed(seen, deadline);
      if (!landed) co_return std::nullopt;
    }
  }

  /// The same where runs leave nothing.
  Task<std::optional<Result<Value>>> join(Key key, Start start, Deadline deadline) {
    return join(std::move(key), [] { return std::optional<Value>(); }, std::move(start), deadline);
  }

 private:
  KeyedTable<Key, Flight, Hash> flights_;
};

}  // namespace layover::net
