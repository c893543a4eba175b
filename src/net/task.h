// Task<T>: the one asynchronous type. A coroutine that does nothing until it is awaited and then hands
// its result to the one coroutine that awaits it.
//
// The lifetime rule, kept everywhere:
//  - A Task owns its coroutine frame, and exactly one place owns the Task: a local variable of the
//    coroutine that awaits it, or a TaskGroup.
//  - Destroying a Task that is suspended cancels it: its frame and all that it owns are destroyed, the
//    innermost first. Each awaitable takes itself out of whatever would have resumed it in its
//    destructor, so nothing resumes a dead frame.
//  - A task lives on one loop. It is resumed by that loop's ready queue only, never from inside a
//    callback that goes on to use the object it waited for, and never by another thread.
//  - A task never destroys itself, nor the owner of its own Task, while it runs; it asks its TaskGroup.
//  - Parameters are values, or references to what the owner of the Task owns for longer. A lambda that
//    is a coroutine captures nothing.
//  - No lock and no LMDB transaction is held across a co_await.
//
// Control passes by symmetric transfer, so chains and loops of tasks that complete at once do not grow
// the stack, with or without optimisation.
#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

namespace layover::net {

template <typename T>
class Task;

namespace detail {

struct TaskPromiseBase {
  std::coroutine_handle<> continuation = std::noop_coroutine();

  struct FinalAwaiter {
    bool await_ready() const noexcept { return false; }
    template <typename Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) const noexcept {
      return self.promise().continuation;
    }
    void await_resume() const noexcept {}
  };

  std::suspend_always initial_suspend() const noexcept { return {}; }
  FinalAwaiter final_suspend() const noexcept { return {}; }
};

template <typename T>
struct TaskPromise : TaskPromiseBase {
  std::variant<std::monostate, T, std::exception_ptr> result;

  Task<T> get_return_object() noexcept;
  template <typename U>
    requires std::is_constructible_v<T, U&&>
  void return_value(U&& value) {
    result.template emplace<1>(std::forward<U>(value));
  }
  void unhandled_exception() noexcept { result.template emplace<2>(std::current_exception()); }

  T take() {
    if (auto* error = std::get_if<2>(&result)) std::rethrow_exception(*error);
    return std::move(std::get<1>(result));
  }
};

template <>
struct TaskPromise<void> : TaskPromiseBase {
  std::exception_ptr error;

  Task<void> get_return_object() noexcept;
  void return_void() const noexcept {}
  void unhandled_exception() noexcept { error = std::current_exception(); }

  void take() const {
    if (error) std::rethrow_exception(error);
  }
};

}  // namespace detail

/// Await it once, as an rvalue: `auto result = co_await make_task();`.
template <typename T = void>
class [[nodiscard]] Task {
 public:
  using promise_type = detail::TaskPromise<T>;
  using Handle = std::coroutine_handle<promise_type>;

  Task(Task&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      destroy();
      frame_ = std::exchange(other.frame_, nullptr);
    }
    return *this;
  }
  ~Task() { destroy(); }

  struct Awaiter {
    Handle frame;

    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) const noexcept {
      frame.promise().continuation = awaiting;
      return frame;
    }
    T await_resume() const { return frame.promise().take(); }
  };

  Awaiter operator co_await() && noexcept { return Awaiter{frame_}; }

 private:
  friend promise_type;
  explicit Task(Handle frame) noexcept : frame_(frame) {}

  void destroy() noexcept {
    if (frame_) std::exchange(frame_, nullptr).destroy();
  }

  Handle frame_;
};

namespace detail {

template <typename T>
Task<T> TaskPromise<T>::get_return_object() noexcept {
  return Task<T>(std::coroutine_handle<TaskPromise>::from_promise(*this));
}

inline Task<void> TaskPromise<void>::get_return_object() noexcept {
  return Task<void>(std::coroutine_handle<TaskPromise>::from_promise(*this));
}

}  // namespace detail

}  // namespace layover::net
