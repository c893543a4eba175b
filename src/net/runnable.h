// Something that a loop runs once, soon: an intrusive entry of a run queue. An entry leaves its queue
// when it runs and when it is destroyed, so a queue never holds a dead one. One loop's thread only.
#pragma once

namespace layover::net {

class RunQueue;

class Runnable {
 public:
  Runnable() = default;
  Runnable(const Runnable&) = delete;
  Runnable& operator=(const Runnable&) = delete;
  virtual ~Runnable() { unlink(); }

  virtual void run() = 0;
  bool is_queued() const { return next_ != nullptr; }
  void unlink() {
    if (next_ == nullptr) return;
    previous_->next_ = next_;
    next_->previous_ = previous_;
    next_ = previous_ = nullptr;
  }

 private:
  friend class RunQueue;
  Runnable* next_ = nullptr;
  Runnable* previous_ = nullptr;
};

/// First in, first out; a circular list around a head.
class RunQueue {
 public:
  RunQueue() { head_.next_ = head_.previous_ = &head_; }
  RunQueue(const RunQueue&) = delete;
  RunQueue& operator=(const RunQueue&) = delete;
  ~RunQueue() {
    while (Runnable* entry = pop()) (void)entry;
    head_.next_ = head_.previous_ = nullptr;
  }

  bool empty() const { return head_.next_ == &head_; }

  /// Moves `entry` to the end of this queue, out of whichever queue it is in.
  void push(Runnable& entry) {
    entry.unlink();
    entry.previous_ = head_.previous_;
    entry.next_ = &head_;
    head_.previous_->next_ = &entry;
    head_.previous_ = &entry;
  }

  Runnable* pop() {
    if (empty()) return nullptr;
    Runnable* entry = head_.next_;
    entry->unlink();
    return entry;
  }

  void append(RunQueue& other) {
    while (Runnable* entry = other.pop()) push(*entry);
  }

 private:
  struct Head final : Runnable {
    void run() override {}
  };
  Head head_;
};

}  // namespace layover::net
