// The timer runs only while something is open: an idle loop sleeps.
#include "cache/open_files.h"

#include <sys/stat.h>

#include <chrono>
#include <utility>

#include "net/wait.h"

namespace layover::cache {

namespace {

constexpr std::chrono::seconds kIdleTime{5};

/// Not unlinked, cut short or written to since.
bool is_as_it_was(int fd, Bytes size) {
  struct stat status{};
  return ::fstat(fd, &status) == 0 && status.st_nlink > 0 &&
         static_cast<std::uint64_t>(status.st_size) == size.count;
}

}  // namespace

std::shared_ptr<const UniqueFd> OpenFiles::find(const oci::Digest& digest, Bytes size,
                                                std::uint64_t removals) {
  forget_before(removals);
  const auto found = places_.find(digest);
  if (found == places_.end()) return nullptr;
  const Place place = found->second;
  if (!is_as_it_was(place->file->get(), size)) {
    close(place);
    return nullptr;
  }
  place->until = Deadline::after(kIdleTime);
  entries_.splice(entries_.begin(), entries_, place);
  return place->file;
}

void OpenFiles::keep(const oci::Digest& digest, std::shared_ptr<const UniqueFd> file,
                     std::uint64_t removals) {
  if (removals < removals_ || places_.contains(digest)) return;
  forget_before(removals);
  if (entries_.size() >= kMost) close(std::prev(entries_.end()));
  entries_.push_front({.digest = digest, .file = std::move(file), .until = Deadline::after(kIdleTime)});
  places_.emplace(digest, entries_.begin());
  if (timer_.size() == 0) timer_.spawn(close_idle());
}

void OpenFiles::close_all() {
  places_.clear();
  entries_.clear();
}

void OpenFiles::forget_before(std::uint64_t removals) {
  if (std::exchange(removals_, removals) != removals) close_all();
}

void OpenFiles::close(Place place) {
  places_.erase(place->digest);
  entries_.erase(place);
}

net::Task<void> OpenFiles::close_idle() {
  while (!entries_.empty()) {
    co_await net::sleep_until(entries_.back().until);
    while (!entries_.empty() && entries_.back().until.has_passed()) close(std::prev(entries_.end()));
  }
}

}  // namespace layover::cache
