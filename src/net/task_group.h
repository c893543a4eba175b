// A scope for tasks that run on their own: it owns them, starts them on its loop, and knows when all
// have ended. Destroying the group cancels what still runs.
#pragma once

#include <cstddef>
#include <list>
#include <memory>

#include "net/loop.h"
#include "net/task.h"
#include "net/wait.h"

namespace layover::net {

/// Lives on one loop. A task in the group must not destroy the group.
class TaskGroup {
 public:
  explicit TaskGroup(Loop& loop);
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;
  ~TaskGroup();

  /// Takes the task over and starts it from the loop's ready queue. An exception that leaves the task
  /// is a bug and ends the process.
  void spawn(Task<void> task);

  /// Cancels all tasks now. Not from a task of the group.
  void cancel();

  /// Tasks that have not ended.
  std::size_t size() const { return running_; }

  class DrainedWait;
  /// `co_await group.drained(deadline)`: true once no task is left, false at the deadline. One waiter
  /// at a time.
  DrainedWait drained(Deadline deadline);

 private:
  class Entry;

  void on_task_end(Entry& entry);
  void erase(Entry& entry);

  Loop& loop_;
  std::size_t running_ = 0;
  std::list<std::unique_ptr<Entry>> entries_;
  DrainedWait* waiter_ = nullptr;
};

class [[nodiscard]] TaskGroup::DrainedWait final : private Wait {
 public:
  DrainedWait(TaskGroup& group, Deadline deadline) : group_(group), deadline_(deadline) {}
  ~DrainedWait() override {
    if (group_.waiter_ == this) group_.waiter_ = nullptr;
  }

  bool await_ready() const { return group_.running_ == 0; }
  void await_suspend(std::coroutine_handle<> coroutine) {
    group_.waiter_ = this;
    suspend(group_.loop_, coroutine, deadline_);
  }
  bool await_resume() const { return group_.running_ == 0; }

 private:
  friend class TaskGroup;
  TaskGroup& group_;
  Deadline deadline_;
};

}  // namespace layover::net
