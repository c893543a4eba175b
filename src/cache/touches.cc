// The batch's timer runs only while there is a batch: an idle loop sleeps.
#include "cache/touches.h"

#include <cstddef>
#include <utility>
#include <vector>

#include "net/wait.h"

namespace layover::cache {

namespace {

constexpr std::chrono::seconds kFresh{10};
constexpr std::size_t kBatch = 1024;

}  // namespace

void Touches::note(const oci::Digest& digest, WallTime recorded, WallTime now) {
  // A time to come is of a clock that has been set back since.
  if (recorded <= now && now - recorded < kFresh) return;
  used_.insert_or_assign(digest, now);
  if (used_.size() >= kBatch) {
    write();
  } else if (timer_.size() == 0) {
    timer_.spawn(write_soon());
  }
}

net::Task<void> Touches::write_soon() {
  co_await net::sleep_until(Deadline::after(interval_));
  write();
}

void Touches::write() {
  if (used_.empty()) return;
  std::vector<Change> changes;
  changes.reserve(used_.size());
  for (const auto& [digest, used] : std::exchange(used_, {})) {
    changes.emplace_back(TouchContent{.digest = digest, .used = used});
  }
  writer_.write_later(std::move(changes));
}

}  // namespace layover::cache
