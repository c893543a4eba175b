// The loop's turn: libuv's callbacks fill the ready queue; each ends by running it.
#include "net/loop.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "net/signal.h"

namespace layover::net {

namespace {

thread_local Loop* current_loop = nullptr;

Loop& owner(const void* data) { return *static_cast<Loop*>(const_cast<void*>(data)); }

}  // namespace

Loop::Loop(unsigned index) : index_(index), signals_(std::make_unique<SignalTable>()) {
  uv_loop_init(&uv_);
  doorbell_.data = timer_.data = check_.data = idle_.data = this;
  uv_async_init(&uv_, &doorbell_, &Loop::on_mail);
  uv_timer_init(&uv_, &timer_);
  uv_check_init(&uv_, &check_);
  uv_check_start(&check_, &Loop::on_check);
  uv_idle_init(&uv_, &idle_);
  mailbox_->open(&doorbell_);
}

Loop::~Loop() {
  drain();
  // Messages still in the box may own results; they die here, on their loop.
  mailbox_->close().clear();
  for (uv_handle_t* handle :
       {reinterpret_cast<uv_handle_t*>(&doorbell_), reinterpret_cast<uv_handle_t*>(&timer_),
        reinterpret_cast<uv_handle_t*>(&check_), reinterpret_cast<uv_handle_t*>(&idle_)}) {
    uv_close(handle, nullptr);
  }
  uv_run(&uv_, UV_RUN_DEFAULT);
  uv_loop_close(&uv_);
  current_loop = nullptr;
}

void Loop::run() {
  current_loop = this;
  run_ready();
  uv_run(&uv_, UV_RUN_DEFAULT);
}

void Loop::drain() {
  current_loop = this;
  run_ready();
  while (jobs_ > 0 || closing_ > 0) uv_run(&uv_, UV_RUN_ONCE);
}

void Loop::stop() {
  mailbox_->post([this] { uv_stop(&uv_); });
}

Loop* Loop::current() { return current_loop; }

void Loop::schedule_next_turn(Runnable& entry) {
  if (next_turn_.empty()) uv_idle_start(&idle_, [](uv_idle_t*) {});
  next_turn_.push(entry);
}

void Loop::arm(Timer& timer, Deadline deadline) {
  timers_.arm(timer, deadline);
  set_uv_timer();
}

void Loop::run_ready() {
  if (running_ready_) return;
  running_ready_ = true;
  while (Runnable* entry = ready_.pop()) entry->run();
  running_ready_ = false;
}

void Loop::on_mail(uv_async_t* handle) { owner(handle->data).deliver_mail(); }

void Loop::deliver_mail() {
  for (auto& message : mailbox_->take()) message();
  run_ready();
}

void Loop::on_timer(uv_timer_t* handle) {
  Loop& loop = owner(handle->data);
  loop.uv_timer_set_for_ = Deadline::never();
  loop.timers_.expire_due(Deadline::Clock::now());
  loop.set_uv_timer();
  loop.run_ready();
}

void Loop::on_check(uv_check_t* handle) {
  Loop& loop = owner(handle->data);
  uv_idle_stop(&loop.idle_);  // also where the entries were dropped in the meantime
  if (loop.next_turn_.empty()) return;
  loop.ready_.append(loop.next_turn_);
  loop.run_ready();
}

// A uv timer that fires early costs one look at the heap, so it is only ever moved forward: arming and
// disarming a wait does not touch libuv unless the wait is the next to end.
void Loop::set_uv_timer() {
  const Deadline next = timers_.next();
  if (next.is_never() || next.instant() >= uv_timer_set_for_.instant()) return;
  const auto delay = std::chrono::ceil<std::chrono::milliseconds>(next.instant() - Deadline::Clock::now());
  uv_update_time(&uv_);
  uv_timer_start(&timer_, &Loop::on_timer, static_cast<std::uint64_t>(std::max(delay.count(), 0L)), 0);
  uv_timer_set_for_ = next;
}

}  // namespace layover::net
