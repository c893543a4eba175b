// Trouble is mended at once; the rest is looked at each minute. All records are read before each copy, so
// that a copy is one of a whole index, and once after the start, so that damage is found before clients run
// into it.
#include "cache/index_upkeep.h"

#include <chrono>
#include <filesystem>

#include "base/log.h"
#include "cache/index_recovery.h"
#include "net/offload.h"

namespace layover::cache {

namespace {

constexpr std::chrono::minutes kLook{1};
/// Before what could not be mended is tried again.
constexpr std::chrono::seconds kPauseAfterFailure{1};

net::Task<void> mend(Cache& cache, const std::function<void()>& start_sweep) {
  auto mended = co_await net::offload(net::Work::kIndex,
                                      [&cache] { return mend_index(cache.directory(), cache.index()); });
  if (!mended) {
    log_error("the index cannot be opened again, nothing is stored until it can: {}",
              mended.error().describe());
    co_await net::sleep_until(Deadline::after(kPauseAfterFailure));
    co_return;
  }
  if (*mended == Mended::kAsItWas) co_return;
  cache.budget().note_change();
  start_sweep();
}

/// Whether all records could be read. What cannot is trouble, and mended as that.
net::Task<bool> check(Cache& cache) {
  IndexWalk walk;
  for (bool has_more = true; has_more;) {
    auto part = co_await net::offload(net::Work::kDisk, [&cache, walk]() mutable {
      auto more = cache.index().check_some(walk);
      return std::pair(std::move(more), std::move(walk));
    });
    if (!part.first) co_return false;
    has_more = *part.first;
    walk = std::move(part.second);
  }
  if (walk.unsound > 0) {
    log_error(
        "{} of {} records of the index are damaged: they count as absent, and what they tell of is asked "
        "for again",
        walk.unsound, walk.records);
  } else {
    log_debug("the index is whole: {} records", walk.records);
  }
  co_return walk.unsound == 0;
}

std::chrono::seconds age_of_copy(const Directory& directory) {
  std::error_code code;
  const auto written = std::filesystem::last_write_time(directory.index_copy(), code);
  const auto age = std::chrono::duration_cast<std::chrono::seconds>(
      std::filesystem::file_time_type::clock::now() - written);
  // There is none, or it is of a clock that has been set back since.
  return code || age.count() < 0 ? std::chrono::hours(24 * 365) : age;
}

net::Task<void> copy(Cache& cache) {
  auto copied = co_await net::offload(net::Work::kDisk,
                                      [&cache] { return copy_index(cache.directory(), cache.index()); });
  if (!copied) log_warning("the index has no new copy: {}", copied.error().describe());
}

/// When the index was copied, and what was in it.
struct Copied {
  Deadline due = Deadline::after(std::chrono::seconds(0));
  std::uint64_t transaction = 0;
};

net::Task<void> look_after(Cache& cache, Ballast& ballast, Copied& last, bool is_first) {
  const auto age = co_await net::offload(net::Work::kDisk, [&cache, &ballast] {
    ballast.restore();
    return age_of_copy(cache.directory());
  });
  if (!is_first && !last.due.has_passed()) co_return;
  const bool is_sound = co_await check(cache);
  const std::uint64_t now = cache.index().last_transaction();
  const Totals totals = cache.index().totals();
  const bool is_worth_it = totals.manifests + totals.blobs > 0 && now != last.transaction;
  const bool is_due = !is_first || age >= cache.copy_interval();
  last.due = Deadline::after(is_due ? cache.copy_interval() : cache.copy_interval() - age);
  if (!is_sound || !is_due || !is_worth_it) co_return;
  last.transaction = now;
  co_await copy(cache);
}

}  // namespace

net::Task<void> keep_index(Cache& cache, std::function<void()> start_sweep) {
  Copied last;
  bool is_first = true;
  for (;;) {
    const auto seen = cache.index().troubled()->version();
    if (cache.index().trouble() != IndexTrouble::kNone) {
      co_await mend(cache, start_sweep);
      continue;
    }
    co_await look_after(cache, cache.ballast(), last, is_first);
    is_first = false;
    auto changed = co_await cache.index().troubled()->changed(
        seen, earlier(Deadline::after(kLook), Deadline::after(cache.copy_interval())));
    (void)changed;  // it is looked at in any case
  }
}

}  // namespace layover::cache
