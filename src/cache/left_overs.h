// Partial downloads that no fill works on any more, also from before a restart: what is on the disk already
// need not be downloaded again. Beside each file lies a record that says what of it is real.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/file_system.h"
#include "cache/disk_budget.h"
#include "cache/extents.h"
#include "cache/fill_state.h"

namespace layover::cache {

/// What a record says. The layout is in docs/on-disk-format.md.
struct FillRecord {
  FillKey key;
  Bytes size;                     // of the whole content
  WallTime saved{};               // when these bytes were known to be on the disk
  std::vector<ByteRange> ranges;  // in order, none empty, none touching, all below the size

  std::string to_text() const;
  /// Nothing where it is damaged, or of another version.
  static std::optional<FillRecord> parse(std::string_view text);
};

/// A fill's record on the disk, from its first saving to its end. Thread-safe; shared by the jobs that save.
class RecordFile {
 public:
  /// `path` is the partial file's.
  RecordFile(FileSystem& files, const std::string& path) : files_(files), path_(path + ".record") {}
  RecordFile(const RecordFile&) = delete;
  RecordFile& operator=(const RecordFile&) = delete;

  /// Syncs `fd`, in which the ranges have been written, and replaces the record. After a failure the file is
  /// good for nothing. Blocks: pool only.
  Result<void> save(int fd, const FillRecord& record);
  /// Whether a save is under way.
  bool is_saving() const { return saving_.load(std::memory_order_relaxed) > 0; }
  /// Removes the record; save() does nothing from now on. An error: the file's bytes could not be synced
  /// once, and whether they are on the disk is unknown. Blocks: pool only.
  Result<void> remove();

 private:
  Result<void> write(const FillRecord& record);

  FileSystem& files_;
  const std::string path_;
  std::atomic<int> saving_{0};
  std::mutex mutex_;  // held while the file is synced
  bool is_removed_ = false;
  std::optional<Error> failure_;
};

/// A partial file and what is known of it. Owns the file's place in the budget, not the file.
struct LeftOver {
  std::string path;
  FillRecord record;
  Reservation reserved;  // of what is on the disk
  std::shared_ptr<RecordFile> file;
  std::weak_ptr<const void> writer{};  // alive while a job of its last fill may still write into the file

  /// What of the content is there, without its last byte: upstream has to be asked for something.
  Extents extents() const;
  /// The first bytes that are missing of that.
  ByteRange missing() const;
};

/// Shared by all loops; thread-safe.
class LeftOvers {
 public:
  /// Older ones are dropped: whoever wanted the content has given up.
  static constexpr std::chrono::hours kKept{24};
  /// Smaller downloads are not worth a record.
  static constexpr Bytes kLeast = 8_MiB;

  LeftOvers(FileSystem& files, const Clock& clock, DiskBudget& budget, std::string folder)
      : files_(files), clock_(clock), budget_(budget), folder_(std::move(folder)) {}

  /// Finds what a former run has left, and removes what is of no use from the folder. Blocks: start-up only.
  void load();
  /// What there is of this content, which is the caller's from now on. Nothing while it may still be written.
  std::optional<LeftOver> take(const FillKey& key);
  /// For the next fill of the same content, in the place of one that there is. Loop thread.
  void put(LeftOver left_over);
  /// Removes those that are too old, and then others, the oldest first, until `bytes` are freed; how many
  /// were. Blocks: pool only.
  Bytes drop(Bytes bytes);
  /// Removes a file and its record. Blocks: pool only.
  void discard(LeftOver left_over);

  std::size_t count() const;
  WallTime now() const { return clock_.wall_now(); }

 private:
  bool load_one(const std::string& name);
  bool is_too_old(const FillRecord& record) const;

  FileSystem& files_;
  const Clock& clock_;
  DiskBudget& budget_;
  const std::string folder_;
  mutable std::mutex mutex_;
  std::list<LeftOver> all_;  // the oldest first
};

}  // namespace layover::cache
