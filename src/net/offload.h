// Work that would block a loop (disk, sync, bulk hashing, name look-ups, other programs) runs on libuv's
// thread pool, in classes: each has a bound on how many of its jobs run at once and a queue for the rest, so
// that one class can never take the threads of another.
//
// An offloaded job owns everything it touches. Dropping the task that awaits it detaches from the job:
// the job finishes, and its result is destroyed on the loop that asked for it.
#pragma once

#include <concepts>
#include <coroutine>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "net/loop.h"
#include "net/mailbox.h"
#include "net/wait.h"

namespace layover::net {

enum class Work { kCompute, kDisk, kSync, kIndex, kResolve, kHelper };
inline constexpr unsigned kWorkClasses = 6;

/// Sizes libuv's pool to the sum of the classes' bounds. Call in `main` before any loop is used.
void configure_offload(unsigned compute_threads);

namespace detail {
/// Queues `job` in its class; runs it on the pool. Loop thread.
void submit_job(Loop& loop, Work work, Mailbox::Message job);
}  // namespace detail

/// The common half of the two awaitables below: submits the job and is woken by its end.
template <typename Job>
class OffloadBase : protected Wait {
 public:
  using Value = std::invoke_result_t<Job>;
  static_assert(!std::is_void_v<Value> && !std::is_reference_v<Value>);

  ~OffloadBase() override {
    if (state_) state_->awaiter = nullptr;
  }

  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> coroutine) {
    Loop& loop = *Loop::current();
    state_ = std::make_shared<State>();
    state_->awaiter = this;
    loop.job_started();
    detail::submit_job(loop, work_,
                       [state = state_, job = std::move(job_), mailbox = loop.mailbox()]() mutable {
                         try {
                           auto own = std::move(job);  // what it holds is let go before its end is told
                           state->value.emplace(std::move(own)());
                         } catch (...) {
                           state->error = std::current_exception();
                         }
                         mailbox->post([finished = std::move(state)] { finish(*finished); });
                       });
    suspend(loop, coroutine, deadline_);
  }

 protected:
  OffloadBase(Work work, Deadline deadline, Job job)
      : work_(work), deadline_(deadline), job_(std::move(job)) {}

  /// What the job gave; an exception that left it is thrown here.
  Value take() {
    if (state_->error) std::rethrow_exception(state_->error);
    return std::move(*state_->value);
  }

 private:
  struct State {
    std::optional<Value> value;  // written by the pool before the message is posted
    std::exception_ptr error;
    OffloadBase* awaiter = nullptr;  // loop thread only; null once dropped
  };

  static void finish(State& state) {
    Loop::current()->job_finished();
    if (state.awaiter != nullptr) state.awaiter->wake();
  }
  void on_timeout() override { state_->awaiter = nullptr; }

  Work work_;
  Deadline deadline_;
  Job job_;
  std::shared_ptr<State> state_;
};

template <typename Job>
class [[nodiscard]] Offload final : public OffloadBase<Job> {
 public:
  Offload(Work work, Job job) : OffloadBase<Job>(work, Deadline::never(), std::move(job)) {}
  OffloadBase<Job>::Value await_resume() { return this->take(); }
};

template <typename Job>
class [[nodiscard]] OffloadUntil final : public OffloadBase<Job> {
 public:
  OffloadUntil(Work work, Deadline deadline, Job job) : OffloadBase<Job>(work, deadline, std::move(job)) {}
  std::optional<typename OffloadBase<Job>::Value> await_resume() {
    if (this->timed_out()) return std::nullopt;
    return this->take();
  }
};

/// Runs `job`, which must not throw, on the pool with nobody waiting for it; the loop's drain() still does.
void offload_detached(Work work, Mailbox::Message job);

/// `auto result = co_await offload(Work::kDisk, [fd = std::move(fd)] { ... });`
template <std::invocable Job>
Offload<Job> offload(Work work, Job job) {
  return Offload<Job>(work, std::move(job));
}

/// The same, giving nothing where the job has not finished at the deadline; it is then detached from.
template <std::invocable Job>
OffloadUntil<Job> offload_until(Work work, Deadline deadline, Job job) {
  return OffloadUntil<Job>(work, deadline, std::move(job));
}

}  // namespace layover::net
