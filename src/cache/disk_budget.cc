// All sums are made under one lock, and the index's totals are read inside it: a commit is counted by its
// reservation until the index has it, an eviction by its hold before the index forgets it. So bytes may
// count twice for a moment, but never not at all.
#include "cache/disk_budget.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "net/offload.h"

namespace layover::cache {

namespace {

/// Ahead of the bytes of a download whose size upstream does not tell.
constexpr std::uint64_t kStep = std::uint64_t{16} << 20;
/// How old the file system's figure may be, and how long unlinked bytes may take to become free.
constexpr std::chrono::seconds kFigureAge{1};
constexpr std::int64_t kPlenty = std::numeric_limits<std::int64_t>::max() / 4;
/// More than any disk has: sums with larger sizes, which an upstream may well announce, would overflow.
constexpr std::uint64_t kMostAtOnce = std::uint64_t{1} << 60;

std::uint64_t above(std::uint64_t a, std::uint64_t b) { return a > b ? a - b : 0; }

}  // namespace

/// Known to eviction as long as it lives.
class DiskBudget::WaitingEntry {
 public:
  WaitingEntry(DiskBudget& budget, std::uint64_t wanted, std::uint64_t held)
      : budget_(budget), waiting_{.wanted = wanted, .held = held, .number = 0} {
    {
      const std::lock_guard lock(budget_.mutex_);
      waiting_.number = budget_.next_waiting_++;
      budget_.waiting_.insert(&waiting_);
    }
    budget_.room_->notify();  // those that hoped for this one's room look again, as does its owner
  }
  WaitingEntry(const WaitingEntry&) = delete;
  WaitingEntry& operator=(const WaitingEntry&) = delete;
  ~WaitingEntry() {
    {
      const std::lock_guard lock(budget_.mutex_);
      budget_.waiting_.erase(&waiting_);
    }
    budget_.room_->notify();  // another is the last now
  }

  bool is_before(const Waiting& other) const { return waiting_.number < other.number; }

 private:
  DiskBudget& budget_;
  Waiting waiting_;
};

DiskBudget::DiskBudget(FileSystem& files, const Index& index, std::string path, SpaceLimits limits)
    : files_(files),
      index_(index),
      path_(std::move(path)),
      max_size_(limits.max_size.count),
      min_free_(limits.min_free.count),
      max_object_(limits.max_object.count) {}

void DiskBudget::set_limits(SpaceLimits limits) {
  max_size_.store(limits.max_size.count, std::memory_order_relaxed);
  min_free_.store(limits.min_free.count, std::memory_order_relaxed);
  max_object_.store(limits.max_object.count, std::memory_order_relaxed);
  {
    const std::lock_guard lock(mutex_);
    refreshed_ = {};
    ++epoch_;
    is_exhausted_ = false;
  }
  room_->notify();
  pressure_->notify();
}

net::Task<Result<void>> DiskBudget::reserve(Reservation& reservation, Bytes size, Deadline deadline) {
  if (size <= reservation.size()) co_return Result<void>{};
  if (size.count > kMostAtOnce) {
    co_return failure(ErrorCode::kTooLarge, ErrorSource::kSelf,
                      fmt::format("{} bytes are more than any disk has room for", size.count));
  }
  const std::uint64_t more = size.count - reservation.size().count;
  std::unique_ptr<WaitingEntry> entry;
  for (;;) {
    const auto seen = room_->version();
    if (must_refresh() || (entry && min_free() > 0)) {
      auto refreshed = co_await net::offload(net::Work::kDisk, [this] { return refresh(); });
      (void)refreshed;  // where it fails, writing will tell
    }
    switch (try_grow(reservation, more, entry.get())) {
      case Verdict::kGranted: co_return Result<void>{};
      case Verdict::kNever: co_return refuse(size, "there is nothing left to evict");
      case Verdict::kTooLarge:
        co_return failure(ErrorCode::kTooLarge, ErrorSource::kSelf,
                          fmt::format("{} bytes are more than cache.max_size ({} bytes) has room for",
                                      size.count, max_size()));
      case Verdict::kWait: break;
    }
    if (deadline.has_passed()) co_return refuse(size, "eviction has not made it in time");
    if (!entry) {
      entry = std::make_unique<WaitingEntry>(*this, more, reservation.size().count);
    }
    pressure_->notify();
    // Space that others free on the file system announces itself to nobody.
    const auto until = min_free() > 0 ? earlier(deadline, Deadline::after(kFigureAge)) : deadline;
    auto changed = co_await room_->changed(seen, until);
    (void)changed;  // either way: look again
  }
}

net::Task<Result<void>> DiskBudget::reserve_spare(Reservation& reservation, Bytes size) {
  if (size <= reservation.size()) co_return Result<void>{};
  if (size.count > kMostAtOnce) co_return refuse(size, "no disk has it");
  if (must_refresh()) {
    auto refreshed = co_await net::offload(net::Work::kDisk, [this] { return refresh(); });
    (void)refreshed;  // where it fails, writing will tell
  }
  if (try_grow_spare(reservation, size.count - reservation.size().count)) co_return Result<void>{};
  pressure_->notify();
  co_return refuse(size, "nothing is evicted for what no client has asked for");
}

bool DiskBudget::try_grow_spare(Reservation& reservation, std::uint64_t more) {
  const std::lock_guard lock(mutex_);
  if (!waiting_.empty() || verdict_locked(reservation, more, nullptr) != Verdict::kGranted) return false;
  if (is_above_high_water_locked(more)) return false;
  grow_locked(reservation, more);
  return true;
}

void DiskBudget::grow_locked(Reservation& reservation, std::uint64_t more) {
  reserved_ += more;
  unwritten_ += more;
  granted_ever_ += more;
  disk_room_ -= static_cast<std::int64_t>(more);
  reservation.size_ += more;
}

DiskBudget::Verdict DiskBudget::try_grow(Reservation& reservation, std::uint64_t more,
                                         const WaitingEntry* own) {
  bool is_above_high_water = false;
  {
    const std::lock_guard lock(mutex_);
    const Verdict verdict = verdict_locked(reservation, more, own);
    if (verdict != Verdict::kGranted) return verdict;
    grow_locked(reservation, more);
    is_above_high_water = is_above_high_water_locked();
  }
  if (is_above_high_water) pressure_->notify();
  return Verdict::kGranted;
}

DiskBudget::Verdict DiskBudget::verdict_locked(const Reservation& reservation, std::uint64_t more,
                                               const WaitingEntry* own) const {
  const std::uint64_t limit = max_size();
  const bool fits = limit == 0 || used_locked() + more <= limit;
  const bool leaves_free = min_free() == 0 || static_cast<std::int64_t>(more) <= disk_room_;
  if (fits && leaves_free) return Verdict::kGranted;
  if (limit > 0 && reservation.size_ + more > above(limit, index_.used_with_small().count)) {
    return Verdict::kTooLarge;
  }
  std::uint64_t held_by_waiting = 0;
  for (const Waiting* waiting : waiting_) held_by_waiting += waiting->held;
  // What running downloads give back, or bring to evict, is worth waiting for; so is an adoption.
  const bool can_others_help =
      (orphaned_ > 0 && is_sweeping()) || reserved_ > std::max(held_by_waiting, reservation.size_);
  const bool can_eviction_help = !is_exhausted_ && does_eviction_work_ && fits_beside_what_stays(more);
  if (can_others_help || can_eviction_help) return Verdict::kWait;
  // Of those that wait for each other the one that came last gives up: the others have its room then.
  const bool is_last = own == nullptr || std::ranges::none_of(waiting_, [own](const Waiting* other) {
                         return own->is_before(*other);
                       });
  return is_last ? Verdict::kNever : Verdict::kWait;
}

// Whether removing everything that can be removed would be enough: if not, nothing is removed for it.
bool DiskBudget::fits_beside_what_stays(std::uint64_t more) const {
  const std::uint64_t stored = index_.totals().bytes;
  const std::uint64_t limit = max_size();
  if (limit > 0 && above(used_locked(), stored) + more > limit) return false;
  return min_free() == 0 ||
         static_cast<std::int64_t>(more) <= disk_room_ + static_cast<std::int64_t>(stored + reserved_);
}

bool DiskBudget::must_refresh() const {
  if (min_free() == 0) return false;
  const std::lock_guard lock(mutex_);
  return Deadline::Clock::now() - refreshed_ >= kFigureAge;
}

// What is written while we look counts as unwritten here, and may be missing from the free space too:
// that errs on the safe side.
bool DiskBudget::refresh() {
  std::uint64_t unwritten = 0;
  std::uint64_t granted_before = 0;
  {
    const std::lock_guard lock(mutex_);
    unwritten = unwritten_;
    granted_before = granted_ever_;
  }
  const auto space = files_.space(path_);
  if (!space) log_warning("the free space of the cache is unknown: {}", space.error().describe());
  const std::lock_guard lock(mutex_);
  refreshed_ = Deadline::Clock::now();
  unwritten += granted_ever_ - granted_before;
  disk_room_ = space ? static_cast<std::int64_t>(space->available.count) -
                           static_cast<std::int64_t>(min_free() + unwritten)
                     : kPlenty;
  return space.has_value();
}

SpaceDemand DiskBudget::demand() {
  if (min_free() > 0) refresh();
  const std::lock_guard lock(mutex_);
  const std::uint64_t limit = max_size();
  const std::uint64_t wanted = wanted_locked();
  std::uint64_t excess = 0;
  bool is_passed = false;
  if (limit > 0) {
    const std::uint64_t used = above(used_locked(), entering_);
    is_passed = used > limit;
    excess = above(used + std::max(wanted, low_water_gap()), limit);
  }
  if (min_free() > 0) {
    if (Deadline::Clock::now() - unlinked_at_ >= kFigureAge) unlinked_ = 0;
    const auto missing =
        static_cast<std::int64_t>(wanted) - disk_room_ - static_cast<std::int64_t>(unlinked_);
    if (missing > 0) {
      is_passed = true;
      excess = std::max(excess, static_cast<std::uint64_t>(missing));
    }
  }
  const bool is_urgent = is_passed || !waiting_.empty();
  is_making_room_ = excess > 0 && (is_making_room_ || is_urgent || is_above_high_water_locked());
  return {.excess = Bytes{excess},
          .is_urgent = is_urgent,
          .is_spare = excess > 0 && !is_making_room_,
          .epoch = epoch_};
}

// Where all of them could not fit at once, room for half the limit will do for a start.
std::uint64_t DiskBudget::wanted_locked() const {
  std::uint64_t sum = 0;
  std::uint64_t largest = 0;
  for (const Waiting* waiting : waiting_) {
    if (!fits_beside_what_stays(waiting->wanted)) continue;
    sum += waiting->wanted;
    largest = std::max(largest, waiting->wanted);
  }
  const std::uint64_t limit = max_size();
  return limit == 0 ? sum : std::min(sum, std::max(largest, limit / 2));
}

std::uint64_t DiskBudget::used_locked() const {
  return index_.totals().bytes + index_.used_with_small().count + reserved_ + orphaned_;
}

Bytes DiskBudget::used() const {
  const std::lock_guard lock(mutex_);
  return Bytes{used_locked()};
}

Bytes DiskBudget::ahead_of(Bytes needed) const {
  const std::uint64_t limit = max_size();
  if (limit == 0) return Bytes{needed.count + kStep};
  const std::uint64_t most = above(limit, index_.used_with_small().count);
  return std::max(needed, Bytes{std::min(needed.count + std::min(kStep, limit / 8), most)});
}

Reservation DiskBudget::hold(Bytes bytes) {
  Reservation held(*this);
  held.size_ = bytes.count;
  held.written_ = bytes.count;
  const std::lock_guard lock(mutex_);
  reserved_ += bytes.count;
  return held;
}

void DiskBudget::give_back(std::uint64_t bytes, std::uint64_t unwritten) {
  {
    const std::lock_guard lock(mutex_);
    reserved_ -= bytes;
    unwritten_ -= unwritten;
    disk_room_ += static_cast<std::int64_t>(unwritten);
    ++epoch_;
    is_exhausted_ = false;
  }
  room_->notify();
}

void DiskBudget::note_written(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  unwritten_ -= bytes;
}

DiskBudget::Entering::Entering(DiskBudget& budget, Bytes bytes) : budget_(budget), bytes_(bytes) {
  const std::lock_guard lock(budget_.mutex_);
  budget_.entering_ += bytes_.count;
}

// Where the index has not taken them after all, more may have to go than was thought meanwhile.
DiskBudget::Entering::~Entering() {
  bool is_above_high_water = false;
  {
    const std::lock_guard lock(budget_.mutex_);
    budget_.entering_ -= bytes_.count;
    is_above_high_water = budget_.is_above_high_water_locked();
  }
  if (is_above_high_water) budget_.pressure_->notify();
}

DiskBudget::Sweep::Sweep(DiskBudget& budget) : budget_(&budget) {
  budget.sweeps_.fetch_add(1, std::memory_order_relaxed);
}

DiskBudget::Sweep::~Sweep() {
  if (budget_ == nullptr) return;
  budget_->sweeps_.fetch_sub(1, std::memory_order_relaxed);
  budget_->room_->notify();  // what is left of them helps nobody
}

void DiskBudget::note_eviction(bool has_worked) {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(does_eviction_work_, has_worked) == has_worked) return;
  }
  room_->notify();
}

void DiskBudget::note_orphan(const oci::Digest& digest, Bytes size) {
  {
    const std::lock_guard lock(mutex_);
    std::uint64_t& known = orphans_[digest];
    orphaned_ += size.count - known;
    known = size.count;
  }
  pressure_->notify();
}

void DiskBudget::forget_orphan(const oci::Digest& digest) {
  const std::lock_guard lock(mutex_);
  const auto found = orphans_.find(digest);
  if (found == orphans_.end()) return;
  orphaned_ -= found->second;
  orphans_.erase(found);
}

void DiskBudget::note_exhausted(std::uint64_t epoch) {
  {
    const std::lock_guard lock(mutex_);
    if (epoch != epoch_ || is_exhausted_) return;
    is_exhausted_ = true;
  }
  room_->notify();
}

void DiskBudget::note_change() { give_back(0, 0); }

void DiskBudget::note_unlinked(Bytes bytes) {
  const std::lock_guard lock(mutex_);
  unlinked_ += bytes.count;
  unlinked_at_ = Deadline::Clock::now();
}

std::unexpected<Error> DiskBudget::refuse(Bytes size, std::string_view why) const {
  return failure(
      ErrorCode::kNoSpace, ErrorSource::kDisk,
      fmt::format("the cache has no room for {} bytes: {} (cache.max_size is {} bytes, of which {} "
                  "are used; cache.min_free is {} bytes)",
                  size.count, why, max_size(), used().count, min_free()));
}

void Reservation::note_written(Bytes front) {
  const std::uint64_t written = std::min(front.count, size_);
  budget_->note_written(written - written_);
  written_ = written;
}

void Reservation::shrink_to(Bytes size) {
  if (size.count >= size_) return;
  const std::uint64_t less = size_ - size.count;
  const std::uint64_t written = std::min(written_, size.count);
  budget_->give_back(less, less - (written_ - written));
  written_ = written;
  size_ = size.count;
}

}  // namespace layover::cache
