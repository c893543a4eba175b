// The doorbell is rung only when the box was empty: one wake-up per batch.
#include "net/mailbox.h"

#include <utility>

namespace layover::net {

bool Mailbox::post(Message message) {
  const std::lock_guard lock(mutex_);
  if (doorbell_ == nullptr) return false;
  messages_.push_back(std::move(message));
  if (messages_.size() == 1) uv_async_send(doorbell_);
  return true;
}

void Mailbox::open(uv_async_t* doorbell) {
  const std::lock_guard lock(mutex_);
  doorbell_ = doorbell;
}

std::vector<Mailbox::Message> Mailbox::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(messages_, {});
}

std::vector<Mailbox::Message> Mailbox::close() {
  const std::lock_guard lock(mutex_);
  doorbell_ = nullptr;
  return std::exchange(messages_, {});
}

}  // namespace layover::net
