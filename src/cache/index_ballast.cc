// A file that is shorter than it should be was cut off in its making: it is made anew.
#include "cache/index_ballast.h"

#include <fcntl.h>

#include "base/log.h"

namespace layover::cache {

namespace {

/// Restored where this many times its size is free, so that it is not taken from who is short of room; given
/// up only where less is.
constexpr std::uint64_t kRoomTimes = 4;

}  // namespace

bool Ballast::has_room() const {
  const auto space = files_.space(file_.substr(0, file_.rfind('/')));
  return space && space->available.count >= kRoomTimes * kBallast.count;
}

bool Ballast::release() {
  const std::lock_guard lock(mutex_);
  if (!files_.status(file_) || has_room()) return false;
  if (auto removed = files_.remove(file_); !removed) {
    log_error("the disk is full, and the space kept for that cannot be given up: {}",
              removed.error().describe());
    return false;
  }
  log_warning("the disk is full: {} MiB kept for that are given up, so that content can be evicted",
              kBallast.count >> 20);
  return true;
}

void Ballast::restore() {
  const std::lock_guard lock(mutex_);
  const auto status = files_.status(file_);
  if (status && status->size == kBallast) return;
  if (!has_room()) return;
  auto fd = files_.open(file_, O_WRONLY | O_CREAT | O_TRUNC, 0640);
  // Nothing is lost but the reserve: the next time will do.
  if (fd && ::posix_fallocate(fd->get(), 0, static_cast<off_t>(kBallast.count)) == 0) return;
  (void)files_.remove(file_);
}

}  // namespace layover::cache
