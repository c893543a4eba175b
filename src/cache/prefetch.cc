// Downloads that nobody has asked for.
#include "cache/prefetch.h"

namespace layover::cache {

void Prefetch::note_asked() {
  {
    const std::lock_guard lock(mutex_);
    is_asked_ = true;
  }
  give_slot_back();
}

void Prefetch::give_slot_back() {
  const std::lock_guard lock(mutex_);
  slot_.reset();
}

bool Prefetch::is_asked() const {
  const std::lock_guard lock(mutex_);
  return is_asked_;
}

void Prefetch::give_way() {
  {
    const std::lock_guard lock(mutex_);
    is_in_the_way_ = true;
  }
  signal_->notify();
}

bool Prefetch::should_end() const {
  const std::lock_guard lock(mutex_);
  return !is_asked_ && (is_in_the_way_ || until_.has_passed());
}

}  // namespace layover::cache
