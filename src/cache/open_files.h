// Files of stored content that were read a moment ago, still open: opening one takes a turn of the pool.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <unordered_map>

#include "base/bytes.h"
#include "base/deadline.h"
#include "base/unique_fd.h"
#include "net/task.h"
#include "net/task_group.h"
#include "oci/digest.h"

namespace layover::cache {

/// Lives on its loop.
class OpenFiles {
 public:
  /// Descriptors at most.
  static constexpr std::size_t kMost = 256;

  explicit OpenFiles(net::Loop& loop) : timer_(loop) {}

  /// Null where it is not open, or no longer what it was. `removals` as the index counts them: what was open
  /// before content was last removed is closed, since the name may stand for another file by now, and so that
  /// its space becomes free.
  std::shared_ptr<const UniqueFd> find(const oci::Digest& digest, Bytes size, std::uint64_t removals);
  /// Keeps it open until it has not been asked for some seconds. `removals` as they were before it was
  /// opened.
  void keep(const oci::Digest& digest, std::shared_ptr<const UniqueFd> file, std::uint64_t removals);
  void close_all();

 private:
  struct Entry {
    oci::Digest digest;
    std::shared_ptr<const UniqueFd> file;
    Deadline until;
  };
  using Place = std::list<Entry>::iterator;

  void forget_before(std::uint64_t removals);
  void close(Place place);
  net::Task<void> close_idle();

  std::list<Entry> entries_;  // the last used first
  std::unordered_map<oci::Digest, Place> places_;
  std::uint64_t removals_ = 0;
  net::TaskGroup timer_;  // at most one task, while there are entries; last: it uses the members above
};

}  // namespace layover::cache
