// One event loop: a libuv loop with a ready queue, a timer heap and a mailbox. Everything bound to a
// loop is made, used and destroyed on the thread that runs it.
#pragma once

#include <uv.h>

#include <cstdint>
#include <memory>
#include <unordered_map>

#include "base/deadline.h"
#include "net/mailbox.h"
#include "net/runnable.h"
#include "net/timer_queue.h"

namespace layover::net {

class SignalTable;

class Loop {
 public:
  /// `index` is the loop's place among the process's loops, from 0.
  explicit Loop(unsigned index);
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  /// All tasks and sockets of the loop must be gone; drains offloaded jobs and closing handles.
  ~Loop();

  /// Runs on the calling thread until stop(). The thread stays the loop's until the loop is destroyed, so
  /// that what it owns can be destroyed on it after run().
  void run();
  /// Runs until no offloaded job of this loop is under way and no handle waits to be closed: after
  /// run(), once the tasks are gone.
  void drain();
  /// Thread-safe: makes run() return after the current turn.
  void stop();

  /// The loop of this thread; null on threads without one.
  static Loop* current();

  unsigned index() const { return index_; }
  uv_loop_t* uv() { return &uv_; }
  const std::shared_ptr<Mailbox>& mailbox() const { return mailbox_; }
  TimerQueue& timers() { return timers_; }
  SignalTable& signals() { return *signals_; }

  /// Runs `entry` before the loop next waits for events.
  void schedule(Runnable& entry) { ready_.push(entry); }
  /// Runs `entry` after the loop has looked for events once: what long work uses to let others on.
  void schedule_next_turn(Runnable& entry);
  /// Arms `timer`; callers outside run() may use it too.
  void arm(Timer& timer, Deadline deadline);

  /// Every libuv callback of ours ends with this: runs what has become ready, until nothing is.
  void run_ready();

  /// Offloaded jobs whose result this loop still expects. Loop thread.
  void job_started() { ++jobs_; }
  void job_finished() { --jobs_; }
  /// Handles that wait for their close callback. Loop thread.
  void handle_closing() { ++closing_; }
  void handle_closed() { --closing_; }

 private:
  static void on_mail(uv_async_t* handle);
  static void on_timer(uv_timer_t* handle);
  static void on_check(uv_check_t* handle);
  void deliver_mail();
  void set_uv_timer();

  unsigned index_;
  uv_loop_t uv_{};
  uv_async_t doorbell_{};
  uv_timer_t timer_{};
  uv_check_t check_{};
  uv_idle_t idle_{};  // active while next_turn_ has entries, so that the loop does not wait
  std::shared_ptr<Mailbox> mailbox_ = std::make_shared<Mailbox>();
  std::unique_ptr<SignalTable> signals_;
  TimerQueue timers_;
  Deadline uv_timer_set_for_ = Deadline::never();
  RunQueue ready_;
  RunQueue next_turn_;
  bool running_ready_ = false;
  std::uint64_t jobs_ = 0;
  std::uint64_t closing_ = 0;
};

}  // namespace layover::net
