// Signal: "something about this shared object changed", told to tasks on any loop. The shared object
// keeps its state under its own lock; a task that finds nothing to do remembers the signal's version
// and waits for the next one.
//
// Between loops goes a message that names the signal by number, never a pointer to a waiter: the
// receiving loop looks the number up among its own waiters and ignores what it does not know. At most
// one message per (signal, loop) is under way.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "base/deadline.h"
#include "base/error.h"
#include "net/wait.h"

namespace layover::net {

class SignalWait;

/// Owned by shared_ptr: by the object it speaks for and, while they wait, by its waiters.
class Signal : public std::enable_shared_from_this<Signal> {
 public:
  Signal();

  /// Thread-safe. Take it before looking at the state that the signal speaks for.
  std::uint64_t version() const;
  /// Thread-safe: starts a new version and wakes every waiter.
  void notify();
  /// `co_await signal->changed(seen, deadline)`: resumes when the version is no longer `seen`, with
  /// kTimeout after the deadline. Wake-ups may be spurious; look again.
  SignalWait changed(std::uint64_t seen, Deadline deadline);

 private:
  friend class SignalTable;
  friend class SignalWait;

  struct Listener {
    std::shared_ptr<Mailbox> mailbox;  // tells loops apart: in tests several servers run beside each other
    bool is_wakeup_sent = false;
  };

  /// Adds the current loop as a listener unless the version has moved on.
  bool listen(Loop& loop, std::uint64_t seen);
  void stop_listening(const Loop& loop);

  const std::uint64_t id_;
  mutable std::mutex mutex_;
  std::uint64_t version_ = 0;
  std::vector<Listener> listeners_;
};

/// The waiters of one loop, by signal. Loop thread only.
class SignalTable {
 public:
  void add(const std::shared_ptr<Signal>& signal, SignalWait& wait);
  void remove(Loop& loop, SignalWait& wait);
  void wake(Loop& loop, std::uint64_t id);

 private:
  struct Entry {
    std::shared_ptr<Signal> signal;
    std::vector<SignalWait*> waits;
  };
  std::unordered_map<std::uint64_t, Entry> entries_;
};

class [[nodiscard]] SignalWait final : private Wait {
 public:
  SignalWait(std::shared_ptr<Signal> signal, std::uint64_t seen, Deadline deadline)
      : signal_(std::move(signal)), seen_(seen), deadline_(deadline) {}
  ~SignalWait() override;

  bool await_ready() const { return false; }
  bool await_suspend(std::coroutine_handle<> coroutine);
  Result<void> await_resume() const;

 private:
  friend class SignalTable;
  void on_timeout() override;

  std::shared_ptr<Signal> signal_;
  std::uint64_t seen_;
  Deadline deadline_;
  Loop* registered_on_ = nullptr;
};

}  // namespace layover::net
