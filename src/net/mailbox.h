// The one way into a loop from another thread: messages that the loop runs in order on its own thread.
#pragma once

#include <uv.h>

#include <functional>
#include <mutex>
#include <vector>

namespace layover::net {

/// Shared (shared_ptr) by the loop that empties it and by everyone who may post; it may outlive the
/// loop, and then refuses messages.
class Mailbox {
 public:
  using Message = std::move_only_function<void()>;

  /// Thread-safe and does not block on the loop. False, and the message is dropped, once the loop has
  /// ended.
  bool post(Message message);

 private:
  friend class Loop;

  void open(uv_async_t* doorbell);
  /// Takes everything posted so far. Loop thread.
  std::vector<Message> take();
  std::vector<Message> close();

  std::mutex mutex_;
  std::vector<Message> messages_;
  uv_async_t* doorbell_ = nullptr;  // owned by the loop; null while closed
};

}  // namespace layover::net
