// Work that would block a loop (disk, sync, bulk hashing, name look-ups) runs on libuv's thread pool,
// in classes: each has a bound on how many of its jobs run at once and a queue for the rest, so that
// one class can never take the threads of another.
//
// An offloaded job owns everything it touches. Dropping the task that awaits it detaches from the job:
// the job finishes, and its result is destroyed on the loop that asked for it.
#pragma once

#include <concepts>
#include <coroutine>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "net/loop.h"
#include "net/mailbox.h"
#include "net/wait.h"

namespace layover::net {

enum class Work { kCompute, kDisk, kSync, kIndex, kResolve };
inline constexpr unsigned kWorkClasses = 5;

/// Sizes libuv's pool to the sum of the classes' bounds. Call in `main` before any loop is used.
void configure_offload(unsigned compute_threads);

namespace detail {
/// Queues `job` in its class; runs it on the pool. Loop thread.
void submit_job(Loop& loop, Work work, Mailbox::Message job);
}  // namespace detail

/// `auto result = co_await offload(Work::kDisk, [fd = std::move(fd)] { ... });`
template <typename Job>
class [[nodiscard]] Offload final : private Wait {
 public:
  using Value = std::invoke_result_t<Job>;
  static_assert(!std::is_void_v<Value> && !std::is_reference_v<Value>);

  Offload(Work work, Job job) : work_(work), job_(std::move(job)) {}
  ~Offload() override {
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
                         state->value.emplace(std::move(job)());
                         mailbox->post([finished = std::move(state)] { finish(*finished); });
                       });
    suspend(loop, coroutine, Deadline::never());
  }
  Value await_resume() {
    Value value = std::move(*state_->value);
    state_.reset();
    return value;
  }

 private:
  struct State {
    std::optional<Value> value;  // written by the pool before the message is posted
    Offload* awaiter = nullptr;  // loop thread only; null once dropped
  };

  static void finish(State& state) {
    Loop::current()->job_finished();
    if (state.awaiter != nullptr) state.awaiter->wake();
  }

  Work work_;
  Job job_;
  std::shared_ptr<State> state_;
};

/// Runs `job` on the pool with nobody waiting for it; the loop's drain() still does.
void offload_detached(Work work, Mailbox::Message job);

template <std::invocable Job>
Offload<Job> offload(Work work, Job job) {
  return Offload<Job>(work, std::move(job));
}

}  // namespace layover::net
