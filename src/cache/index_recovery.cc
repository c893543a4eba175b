// The copy is moved into place, not copied: if it is what kills the process, the next start has none to try.
#include "cache/index_recovery.h"

#include <fcntl.h>

#include <filesystem>
#include <span>
#include <string>

#include <fmt/format.h>

#include "base/log.h"

namespace layover::cache {

namespace {

/// One death while opening the index may have been anybody's; the second in a row is the index's.
constexpr std::uint64_t kDeathsBelieved = 2;

/// Adds one to the starts that have not got past opening the index, and gives how many there were before.
Result<std::uint64_t> note_opening(const Directory& directory) {
  FileSystem& files = directory.files();
  std::error_code ignored;
  if (std::filesystem::is_directory(directory.opening_marker(), ignored))
    std::filesystem::remove_all(directory.opening_marker(), ignored);
  auto marker = files.open(directory.opening_marker(), O_WRONLY | O_CREAT, 0640);
  if (!marker) return std::unexpected(marker.error());
  auto status = files.status(marker->get());
  if (!status) return std::unexpected(status.error());
  constexpr std::byte kOne{'.'};
  auto written = files.write_at(marker->get(), std::span(&kOne, 1), status->size.count);
  if (!written) return std::unexpected(written.error());
  return status->size.count;
}

/// An opening that ends, also with an error, has killed nobody.
class OpeningEnds {
 public:
  explicit OpeningEnds(const Directory& directory) : directory_(directory) {}
  OpeningEnds(const OpeningEnds&) = delete;
  OpeningEnds& operator=(const OpeningEnds&) = delete;
  ~OpeningEnds() { (void)directory_.files().remove(directory_.opening_marker()); }

 private:
  const Directory& directory_;
};

bool is_there(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

std::string data_file(const Directory& directory) { return directory.path() + "/index/data.mdb"; }

/// A volume that was copied without its index, or half of it.
bool has_lost_its_data(const Directory& directory) {
  std::error_code code;
  const auto size = std::filesystem::file_size(data_file(directory), code);
  return !is_there(data_file(directory)) || (!code && size == 0);
}

Error damage(std::string what) { return {ErrorCode::kCorrupt, ErrorSource::kDisk, std::move(what)}; }

Result<void> check_all(const Index& index) {
  IndexWalk walk;
  for (;;) {
    auto more = index.check_some(walk);
    if (!more) return std::unexpected(more.error());
    if (!*more) break;
  }
  if (walk.unsound > 0) {
    return std::unexpected(
        damage(fmt::format("{} of its {} records are unsound", walk.unsound, walk.records)));
  }
  return {};
}

/// Opens the copy in the index's place.
Result<void> open_copy(const Directory& directory, Index& index) {
  FileSystem& files = directory.files();
  if (auto made = files.make_directories(directory.path() + "/index"); !made) return made;
  if (auto moved = files.rename(directory.index_copy(), data_file(directory)); !moved) return moved;
  if (auto opened = index.reopen(); !opened) return opened;
  return check_all(index);
}

Result<void> replace(const Directory& directory, Index& index, const Error& why) {
  index.close();
  auto aside = directory.set_index_aside();
  if (!aside && aside.error().code() != ErrorCode::kNotFound) return std::unexpected(aside.error());
  log_error("the index cannot be used: {}; it is set aside as {}", why.describe(), aside.value_or("nothing"));
  (void)directory.files().remove(index.suspect_marker());
  if (is_there(directory.index_copy())) {
    std::error_code ignored;
    const auto copied = open_copy(directory, index);
    if (copied) {
      log_warning(
          "the index's last copy is in use: content that came after it is taken in again, and asked for "
          "upstream once");
      return {};
    }
    index.close();
    if (copied.error().code() != ErrorCode::kCorrupt) {
      // It is a full disk, say, and no fault of the copy.
      auto put_back = directory.files().rename(data_file(directory), directory.index_copy());
      if (put_back) std::filesystem::remove_all(directory.path() + "/index", ignored);
      return copied;
    }
    log_error("the index's copy cannot be used either: {}", copied.error().describe());
    std::filesystem::remove_all(directory.path() + "/index", ignored);
  }
  log_warning("the index begins anew: stored files are taken into it, and each is asked for upstream once");
  return index.reopen();
}

// A disk that has no room even so, or no inode, must not keep layover from starting: it may be the one to
// make room.
Result<std::uint64_t> note_opening_on_full_disk(const Directory& directory, Ballast& ballast) {
  const auto is_full = [](const Result<std::uint64_t>& noted) {
    return !noted && noted.error().code() == ErrorCode::kNoSpace;
  };
  auto deaths = note_opening(directory);
  if (is_full(deaths) && ballast.release()) deaths = note_opening(directory);
  if (!is_full(deaths)) return deaths;
  log_warning("starts that die while they open the index are not counted: {}", deaths.error().describe());
  return 0;
}

}  // namespace

Result<std::unique_ptr<Index>> open_index(const Directory& directory, Ballast& ballast, unsigned loops) {
  auto deaths = note_opening_on_full_disk(directory, ballast);
  if (!deaths) return std::unexpected(deaths.error());
  const OpeningEnds ends(directory);
  if (*deaths > 0) log_warning("the last {} starts died while opening the index", *deaths);

  auto index = std::make_unique<Index>(directory.path(), loops);
  std::optional<Error> why;
  if (*deaths >= kDeathsBelieved) {
    why = damage("it may be what killed the last starts");
  } else if (is_there(index->suspect_marker())) {
    why = damage("layover died of a fault while it used it");
  } else if (has_lost_its_data(directory) && is_there(directory.index_copy())) {
    why = damage("its file is missing or empty");
  } else {
    auto opened = index->reopen();
    if (!opened && opened.error().code() == ErrorCode::kNoSpace && ballast.release())
      opened = index->reopen();
    if (!opened && opened.error().code() != ErrorCode::kCorrupt) return std::unexpected(opened.error());
    if (!opened) why = opened.error();
  }
  if (why) {
    auto replaced = replace(directory, *index, *why);
    if (!replaced && replaced.error().code() == ErrorCode::kNoSpace && ballast.release())
      replaced = replace(directory, *index, *why);
    if (!replaced) return std::unexpected(replaced.error());
  }
  return index;
}

Result<Mended> mend_index(const Directory& directory, Index& index) {
  if (index.trouble() == IndexTrouble::kDamaged) {
    auto replaced = replace(directory, index, damage("its pages are damaged"));
    if (!replaced) return std::unexpected(replaced.error());
    return Mended::kReplaced;
  }
  log_error("writing the index has failed in a way that LMDB does not go on after: it is opened again");
  auto opened = index.reopen();
  if (opened) return Mended::kAsItWas;
  if (opened.error().code() != ErrorCode::kCorrupt) return std::unexpected(opened.error());
  auto replaced = replace(directory, index, opened.error());
  if (!replaced) return std::unexpected(replaced.error());
  return Mended::kReplaced;
}

Result<void> copy_index(const Directory& directory, const Index& index) {
  FileSystem& files = directory.files();
  const auto space = files.space(directory.path());
  if (!space) return std::unexpected(space.error());
  if (space->available.count < 2 * index.used().count + kBallast.count) {
    return failure(ErrorCode::kNoSpace, ErrorSource::kDisk, "the disk has no room for a copy of the index");
  }
  const std::string partial = directory.index_copy() + ".new";
  auto fd = files.open(partial, O_WRONLY | O_CREAT | O_TRUNC, 0640);
  if (!fd) return std::unexpected(fd.error());
  Result<void> made = index.copy_to(fd->get());
  if (made) made = files.sync_data(fd->get());
  if (made) made = files.rename(partial, directory.index_copy());
  if (!made) {
    (void)files.remove(partial);
    return made;
  }
  return files.sync_directory(directory.path());
}

}  // namespace layover::cache
