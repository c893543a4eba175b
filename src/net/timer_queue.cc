// The heap: parent of i is (i - 1) / 2; each timer knows its position.
#include "net/timer_queue.h"

namespace layover::net {

TimerQueue::~TimerQueue() {
  for (Timer* timer : heap_) timer->queue_ = nullptr;
}

void TimerQueue::arm(Timer& timer, Deadline deadline) {
  timer.disarm();
  if (deadline.is_never()) return;
  timer.queue_ = this;
  timer.when_ = deadline.instant();
  heap_.push_back(&timer);
  timer.position_ = heap_.size() - 1;
  sift_up(timer.position_);
}

void TimerQueue::disarm(Timer& timer) {
  const std::size_t position = timer.position_;
  Timer* last = heap_.back();
  heap_.pop_back();
  timer.queue_ = nullptr;
  if (last == &timer) return;
  place(position, last);
  sift_up(position);
  sift_down(last->position_);
}

void TimerQueue::expire_due(Deadline::Clock::time_point now) {
  while (!heap_.empty() && heap_.front()->when_ <= now) {
    Timer* timer = heap_.front();
    disarm(*timer);
    timer->expire();
  }
}

void TimerQueue::place(std::size_t position, Timer* timer) {
  heap_[position] = timer;
  timer->position_ = position;
}

void TimerQueue::sift_up(std::size_t position) {
  Timer* timer = heap_[position];
  while (position > 0) {
    const std::size_t parent = (position - 1) / 2;
    if (heap_[parent]->when_ <= timer->when_) break;
    place(position, heap_[parent]);
    position = parent;
  }
  place(position, timer);
}

void TimerQueue::sift_down(std::size_t position) {
  Timer* timer = heap_[position];
  for (;;) {
    std::size_t child = 2 * position + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && heap_[child + 1]->when_ < heap_[child]->when_) ++child;
    if (timer->when_ <= heap_[child]->when_) break;
    place(position, heap_[child]);
    position = child;
  }
  place(position, timer);
}

}  // namespace layover::net
