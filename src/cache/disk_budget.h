// How much the cache may lie on the disk, and who has been promised how much of it: a download reserves
// its bytes before it writes them, and waits while eviction makes room. At every moment the files in
// blobs/ and fills/ with all that is promised stay within the limit.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/bytes.h"
#include "base/deadline.h"
#include "base/error.h"
#include "base/file_system.h"
#include "cache/index.h"
#include "net/signal.h"
#include "net/task.h"

namespace layover::cache {

/// 0 is no limit.
struct SpaceLimits {
  Bytes max_size;      // of all that the cache holds, its index included
  Bytes min_free;      // what others are left on the file system
  Bytes max_object{};  // of one blob; what is larger is not stored
};

/// What eviction has to bring.
struct SpaceDemand {
  Bytes excess;            // to be removed; 0 where all is well
  bool is_urgent = false;  // somebody waits, or the limit is passed: young content has to go too
  bool is_spare = false;   // for what no client has asked for: only what is of no use has to go
  std::uint64_t epoch = 0;
};

class Reservation;

/// Shared by all loops; thread-safe. Outlives every reservation.
class DiskBudget {
 public:
  /// `path` is the cache directory. Content that the index knows counts as stored.
  DiskBudget(FileSystem& files, const Index& index, std::string path, SpaceLimits limits);

  /// Makes `reservation` at least `size` bytes large, waiting for room until `deadline` at most. kNoSpace
  /// where eviction cannot make that room; kTooLarge, of ourselves, where an empty cache had none. Loop
  /// thread; the owner of the task owns the reservation.
  net::Task<Result<void>> reserve(Reservation& reservation, Bytes size, Deadline deadline);
  /// The same for what nobody waits for: where that does not fit without evicting anything, it is kNoSpace at
  /// once. What was not used for a day then makes room for the next.
  net::Task<Result<void>> reserve_spare(Reservation& reservation, Bytes size);
  /// Counts bytes that are on the disk already and that the index counts no more in a moment.
  Reservation hold(Bytes bytes);
  /// What a download of unknown size should have reserved when it needs `needed` bytes now.
  Bytes ahead_of(Bytes needed) const;

  /// As long as one lives, a reservation's bytes are entering the index, which may count them already:
  /// nothing is evicted for what counts twice.
  class Entering {
   public:
    Entering(DiskBudget& budget, Bytes bytes);
    Entering(const Entering&) = delete;
    Entering& operator=(const Entering&) = delete;
    ~Entering();

   private:
    DiskBudget& budget_;
    const Bytes bytes_;
  };

  /// As long as one lives, files that have no entry are being given one: whoever waits for room may hope for
  /// theirs, and whoever misses one of them looks for it.
  class Sweep {
   public:
    explicit Sweep(DiskBudget& budget);
    Sweep(Sweep&& other) noexcept : budget_(std::exchange(other.budget_, nullptr)) {}
    Sweep& operator=(Sweep&&) = delete;
    ~Sweep();

   private:
    DiskBudget* budget_;  // null once moved from
  };
  bool is_sweeping() const { return sweeps_.load(std::memory_order_relaxed) > 0; }

  /// A file under blobs/ that has no entry, for as long as that is so. Once per digest.
  void note_orphan(const oci::Digest& digest, Bytes size);
  void forget_orphan(const oci::Digest& digest);

  /// Looks at the file system where that matters. Blocks: pool only.
  SpaceDemand demand();
  /// Nothing can be evicted, unless anything has changed since `epoch`: whoever waits for eviction alone
  /// fails.
  void note_exhausted(std::uint64_t epoch);
  /// Whether what was chosen last could be removed: where it could not, nobody waits for the next try.
  void note_eviction(bool has_worked);
  /// Content came or went in a way of which no reservation tells.
  void note_change();
  /// `bytes` were unlinked: free space follows once nobody reads them.
  void note_unlinked(Bytes bytes);
  /// Told whenever there may be something to evict.
  const std::shared_ptr<net::Signal>& pressure() const { return pressure_; }

  /// All that counts against max_size.
  Bytes used() const;
  SpaceLimits limits() const {
    return {.max_size = Bytes{max_size()},
            .min_free = Bytes{min_free()},
            .max_object = Bytes{max_object_.load(std::memory_order_relaxed)}};
  }
  /// From now on; what is above them is evicted.
  void set_limits(SpaceLimits limits);

 private:
  friend class Reservation;
  enum class Verdict { kGranted, kWait, kNever, kTooLarge };
  /// A reservation that waits: for how much more, how much it has, and its place among those that wait.
  struct Waiting {
    std::uint64_t wanted;
    std::uint64_t held;
    std::uint64_t number;
  };
  class WaitingEntry;

  /// `own` is the reservation's entry among those that wait, if it has one.
  Verdict try_grow(Reservation& reservation, std::uint64_t more, const WaitingEntry* own);
  bool try_grow_spare(Reservation& reservation, std::uint64_t more);
  void grow_locked(Reservation& reservation, std::uint64_t more);
  bool must_refresh() const;
  bool refresh();
  void give_back(std::uint64_t bytes, std::uint64_t unwritten);
  void note_written(std::uint64_t bytes);
  std::unexpected<Error> refuse(Bytes size, std::string_view why) const;
  std::uint64_t used_locked() const;
  std::uint64_t wanted_locked() const;
  Verdict verdict_locked(const Reservation& reservation, std::uint64_t more, const WaitingEntry* own) const;
  bool fits_beside_what_stays(std::uint64_t more) const;
  std::uint64_t max_size() const { return max_size_.load(std::memory_order_relaxed); }
  std::uint64_t min_free() const { return min_free_.load(std::memory_order_relaxed); }
  std::uint64_t low_water_gap() const { return max_size() / 20; }
  /// With `more` bytes.
  bool is_above_high_water_locked(std::uint64_t more = 0) const {
    return max_size() > 0 && used_locked() + more > max_size() - low_water_gap() / 2;
  }

  FileSystem& files_;
  const Index& index_;
  const std::string path_;
  std::atomic<std::uint64_t> max_size_;
  std::atomic<std::uint64_t> min_free_;
  std::atomic<std::uint64_t> max_object_;
  const std::shared_ptr<net::Signal> room_ = std::make_shared<net::Signal>();
  const std::shared_ptr<net::Signal> pressure_ = std::make_shared<net::Signal>();

  mutable std::mutex mutex_;
  std::uint64_t reserved_ = 0;
  std::uint64_t unwritten_ = 0;  // the part of it that is not on the disk yet
  std::uint64_t granted_ever_ = 0;
  std::uint64_t entering_ = 0;  // the part of it that the index may have
  bool does_eviction_work_ = true;
  std::atomic<int> sweeps_{0};
  std::uint64_t orphaned_ = 0;
  std::unordered_map<oci::Digest, std::uint64_t> orphans_;
  std::set<const Waiting*> waiting_;
  std::uint64_t next_waiting_ = 0;
  std::uint64_t epoch_ = 0;
  bool is_exhausted_ = false;
  bool is_making_room_ = false;  // for downloads that clients wait for, until the low water is reached
  std::int64_t disk_room_ = 0;   // what may still be promised before min_free is touched
  Deadline::Clock::time_point refreshed_{};
  std::uint64_t unlinked_ = 0;  // evicted a moment ago, perhaps not free yet
  Deadline::Clock::time_point unlinked_at_{};
};

/// Bytes promised to one download; given back by its end, on any thread.
class Reservation {
 public:
  explicit Reservation(DiskBudget& budget) : budget_(&budget) {}
  Reservation(Reservation&& other) noexcept
      : budget_(other.budget_),
        size_(std::exchange(other.size_, 0)),
        written_(std::exchange(other.written_, 0)) {}
  Reservation& operator=(Reservation&&) = delete;
  ~Reservation() {
    if (size_ > 0) budget_->give_back(size_, size_ - written_);
  }

  Bytes size() const { return Bytes{size_}; }
  /// Takes over what another one holds.
  void absorb(Reservation other) {
    size_ += std::exchange(other.size_, 0);
    written_ += std::exchange(other.written_, 0);
  }
  /// The file has come so far; never more than the size.
  void note_written(Bytes front);
  /// Gives back what is above `size`.
  void shrink_to(Bytes size);
  /// The bytes stay on the disk: counted until the process ends.
  void keep_for_good() { size_ = 0; }

 private:
  friend class DiskBudget;
  DiskBudget* budget_;
  std::uint64_t size_ = 0;
  std::uint64_t written_ = 0;
};

}  // namespace layover::cache
