// Signals: the listener list belongs to the signal (locked), the waiters to their loop (not locked).
#include "net/signal.h"

#include <algorithm>
#include <atomic>
#include <utility>

namespace layover::net {

namespace {

std::uint64_t next_signal_id() {
  static std::atomic<std::uint64_t> next{1};
  return next.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

Signal::Signal() : id_(next_signal_id()) {}

std::uint64_t Signal::version() const {
  const std::lock_guard lock(mutex_);
  return version_;
}

void Signal::notify() {
  const std::lock_guard lock(mutex_);
  ++version_;
  for (Listener& listener : listeners_) {
    if (std::exchange(listener.is_wakeup_sent, true)) continue;
    listener.mailbox->post([id = id_] {
      Loop* loop = Loop::current();
      loop->signals().wake(*loop, id);
    });
  }
}

SignalWait Signal::changed(std::uint64_t seen, Deadline deadline) {
  return {shared_from_this(), seen, deadline};
}

bool Signal::listen(Loop& loop, std::uint64_t seen) {
  const std::lock_guard lock(mutex_);
  if (version_ != seen) return false;
  if (std::ranges::find(listeners_, loop.mailbox(), &Listener::mailbox) == listeners_.end()) {
    listeners_.push_back({.mailbox = loop.mailbox()});
  }
  return true;
}

void Signal::stop_listening(const Loop& loop) {
  const std::lock_guard lock(mutex_);
  std::erase_if(listeners_, [&](const Listener& listener) { return listener.mailbox == loop.mailbox(); });
}

void SignalTable::add(const std::shared_ptr<Signal>& signal, SignalWait& wait) {
  Entry& entry = entries_[signal->id_];
  entry.signal = signal;
  entry.waits.push_back(&wait);
}

void SignalTable::remove(Loop& loop, SignalWait& wait) {
  const auto found = entries_.find(wait.signal_->id_);
  if (found == entries_.end()) return;
  std::erase(found->second.waits, &wait);
  if (!found->second.waits.empty()) return;
  found->second.signal->stop_listening(loop);
  entries_.erase(found);
}

void SignalTable::wake(Loop& loop, std::uint64_t id) {
  const auto found = entries_.find(id);
  if (found == entries_.end()) return;
  const Entry entry = std::move(found->second);
  entries_.erase(found);
  entry.signal->stop_listening(loop);
  for (SignalWait* wait : entry.waits) {
    wait->registered_on_ = nullptr;
    wait->wake();
  }
}

SignalWait::~SignalWait() {
  if (registered_on_ != nullptr) registered_on_->signals().remove(*registered_on_, *this);
}

bool SignalWait::await_suspend(std::coroutine_handle<> coroutine) {
  Loop& loop = *Loop::current();
  if (!signal_->listen(loop, seen_)) return false;
  loop.signals().add(signal_, *this);
  registered_on_ = &loop;
  suspend(loop, coroutine, deadline_);
  return true;
}

void SignalWait::on_timeout() {
  if (registered_on_ != nullptr)
    std::exchange(registered_on_, nullptr)->signals().remove(*Loop::current(), *this);
}

Result<void> SignalWait::await_resume() const {
  if (timed_out()) return failure(ErrorCode::kTimeout, ErrorSource::kSelf, "the wait took too long");
  return {};
}

}  // namespace layover::net
