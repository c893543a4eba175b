// Each task runs inside a root coroutine whose frame its entry owns. An entry is run twice by the loop:
// to start its root, and, once that has ended and stands suspended, to be erased.
#include "net/task_group.h"

#include <exception>
#include <iterator>
#include <utility>

namespace layover::net {

class TaskGroup::Entry final : public Runnable {
 public:
  Entry(TaskGroup& group, Task<void> task) : group_(group), root_(drive(*this, std::move(task)).frame) {}
  ~Entry() override { root_.destroy(); }

  std::list<std::unique_ptr<Entry>>::iterator position;

 private:
  struct Root {
    struct promise_type {
      Root get_return_object() noexcept { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
      std::suspend_always initial_suspend() const noexcept { return {}; }
      std::suspend_always final_suspend() const noexcept { return {}; }
      void return_void() const noexcept {}
      void unhandled_exception() const noexcept { std::terminate(); }
    };
    std::coroutine_handle<promise_type> frame;
  };

  static Root drive(Entry& entry, Task<void> task) {
    co_await std::move(task);
    entry.group_.on_task_end(entry);
  }

  void run() override {
    if (is_started_) {
      group_.erase(*this);
    } else {
      is_started_ = true;
      root_.resume();
    }
  }

  TaskGroup& group_;
  std::coroutine_handle<> root_;
  bool is_started_ = false;

  friend class TaskGroup;
};

TaskGroup::TaskGroup(Loop& loop) : loop_(loop) {}

TaskGroup::~TaskGroup() = default;

void TaskGroup::spawn(Task<void> task) {
  entries_.push_back(std::make_unique<Entry>(*this, std::move(task)));
  entries_.back()->position = std::prev(entries_.end());
  ++running_;
  loop_.schedule(*entries_.back());
}

void TaskGroup::on_task_end(Entry& entry) {
  --running_;
  loop_.schedule(entry);
  if (running_ == 0 && waiter_ != nullptr) std::exchange(waiter_, nullptr)->wake();
}

void TaskGroup::cancel() {
  entries_.clear();
  running_ = 0;
  if (waiter_ != nullptr) std::exchange(waiter_, nullptr)->wake();
}

void TaskGroup::erase(Entry& entry) { entries_.erase(entry.position); }

TaskGroup::DrainedWait TaskGroup::drained(Deadline deadline) { return {*this, deadline}; }

}  // namespace layover::net
