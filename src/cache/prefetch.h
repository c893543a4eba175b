// A download that is begun before any client has asked for the content, and gives way to those that clients
// wait for. Once a client asks, it is a download like any other.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "base/bytes.h"
#include "base/deadline.h"
#include "cache/download_slots.h"
#include "net/signal.h"

namespace layover::cache {

/// Shared (shared_ptr) by the download, by what upstream is asked for it, and by who asks for the content.
/// Thread-safe.
class Prefetch {
 public:
  /// Where no client has asked within this time, none is about to.
  static constexpr std::chrono::seconds kPatience{10};

  /// So many run at once.
  static constexpr unsigned kMostAtOnce = 8;

  /// Begins now. `size` is what the manifest says of the content.
  Prefetch(Bytes size, DownloadSlots::Slot slot)
      : size_(size), until_(Deadline::after(kPatience)), slot_(std::move(slot)) {}

  Bytes size() const { return size_; }
  Deadline until() const { return until_; }
  /// A client asks for the content.
  void note_asked();
  bool is_asked() const;
  /// A client waits for a connection that this may have.
  void give_way();
  /// Whether there is reason to end it: nobody has asked for it, and its time has passed or it is in the way.
  bool should_end() const;
  /// It has ended.
  void give_slot_back();
  /// Told when give_way() is called.
  const std::shared_ptr<net::Signal>& signal() const { return signal_; }

 private:
  const Bytes size_;
  const Deadline until_;
  const std::shared_ptr<net::Signal> signal_ = std::make_shared<net::Signal>();
  mutable std::mutex mutex_;
  std::optional<DownloadSlots::Slot> slot_;  // until a client asks, or the end
  bool is_asked_ = false;
  bool is_in_the_way_ = false;
};

}  // namespace layover::cache
