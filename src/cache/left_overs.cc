// A record is replaced as a whole, after the bytes that it speaks of were synced. What it says is trusted no
// further than that: a fill that takes the file over hashes it again.
#include "cache/left_overs.h"

#include <fcntl.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/ascii.h"
#include "base/log.h"
#include "cache/hasher.h"
#include "net/offload.h"

namespace layover::cache {

namespace {

constexpr std::string_view kFirstLine = "layover-fill 1";
constexpr std::string_view kSuffix = ".record";
constexpr Bytes kMostRecord = 1_MiB;

std::string checksum_of(std::string_view text) {
  return digest_of(oci::Algorithm::kSha256, std::as_bytes(std::span(text))).to_string();
}

/// The line's value where it begins with `key` and a space.
std::optional<std::string_view> value_of(std::string_view line, std::string_view key) {
  if (!line.starts_with(key) || line.size() <= key.size() || line[key.size()] != ' ') return std::nullopt;
  return line.substr(key.size() + 1);
}

std::optional<ByteRange> parse_range(std::string_view text) {
  const auto space = text.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  const auto begin = parse_decimal<std::uint64_t>(text.substr(0, space));
  const auto end = parse_decimal<std::uint64_t>(text.substr(space + 1));
  if (!begin || !end || *begin >= *end) return std::nullopt;
  return ByteRange{.begin = *begin, .end = *end};
}

/// Takes the lines of a text one by one.
class Lines {
 public:
  explicit Lines(std::string_view text) : rest_(text) {}
  bool is_at_end() const { return rest_.empty(); }
  std::string_view next() {
    const auto end = rest_.find('\n');
    const std::string_view line = rest_.substr(0, end);
    rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
    return line;
  }

 private:
  std::string_view rest_;
};

std::uint64_t total_of(const std::vector<ByteRange>& ranges) {
  std::uint64_t total = 0;
  for (const ByteRange& range : ranges) total += range.length();
  return total;
}

}  // namespace

std::string FillRecord::to_text() const {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(saved.time_since_epoch()).count();
  std::string text = fmt::format("{}\nregistry {}\ndigest {}\nsize {}\nsaved {}\n", kFirstLine,
                                 key.registry.str(), key.digest.to_string(), size.count, seconds);
  for (const ByteRange& range : ranges) text += fmt::format("range {} {}\n", range.begin, range.end);
  return text + fmt::format("checksum {}\n", checksum_of(text));
}

std::optional<FillRecord> FillRecord::parse(std::string_view text) {
  const auto sum = text.rfind("checksum ");
  if (sum == std::string_view::npos || (sum > 0 && text[sum - 1] != '\n')) return std::nullopt;
  if (text.substr(sum) != fmt::format("checksum {}\n", checksum_of(text.substr(0, sum)))) return std::nullopt;
  Lines lines(text.substr(0, sum));
  if (lines.next() != kFirstLine) return std::nullopt;
  const auto registry = oci::RegistryName::parse(value_of(lines.next(), "registry").value_or(""));
  const auto digest = oci::Digest::parse(value_of(lines.next(), "digest").value_or(""));
  const auto size = parse_decimal<std::uint64_t>(value_of(lines.next(), "size").value_or(""));
  const auto saved = parse_decimal<std::uint64_t>(value_of(lines.next(), "saved").value_or(""));
  if (!registry || !digest || !size || !saved) return std::nullopt;
  FillRecord record{.key = {.registry = *registry, .digest = *digest},
                    .size = Bytes{*size},
                    .saved = WallTime(std::chrono::seconds(static_cast<std::int64_t>(*saved))),
                    .ranges = {}};
  while (!lines.is_at_end()) {
    const auto range = parse_range(value_of(lines.next(), "range").value_or(""));
    const std::uint64_t least = record.ranges.empty() ? 0 : record.ranges.back().end + 1;
    if (!range || range->begin < least || range->end > *size) return std::nullopt;
    record.ranges.push_back(*range);
  }
  return record;
}

Result<void> RecordFile::save(int fd, const FillRecord& record) {
  ++saving_;
  const std::lock_guard lock(mutex_);
  Result<void> saved;
  if (!is_removed_ && !failure_) {
    saved = files_.sync_data(fd);
    if (!saved) failure_ = saved.error();
    if (saved) saved = write(record);
  }
  --saving_;
  return saved;
}

Result<void> RecordFile::write(const FillRecord& record) {
  const std::string next = path_ + ".new";
  const std::string text = record.to_text();
  auto file = files_.open(next, O_WRONLY | O_CREAT | O_TRUNC, 0640);
  if (!file) return std::unexpected(file.error());
  if (auto written = files_.write_at(file->get(), std::as_bytes(std::span(text)), 0); !written)
    return written;
  return files_.rename(next, path_);
}

Result<void> RecordFile::remove() {
  const std::lock_guard lock(mutex_);
  is_removed_ = true;
  for (const std::string& path : {path_, path_ + ".new"}) {
    if (auto removed = files_.remove(path); !removed) log_warning("{}", removed.error().describe());
  }
  if (failure_) return std::unexpected(*failure_);
  return {};
}

Extents LeftOver::extents() const {
  const std::uint64_t last = record.size.count - 1;
  Extents extents;
  for (const ByteRange& range : record.ranges) {
    if (range.begin < last) extents.add({.begin = range.begin, .end = std::min(range.end, last)});
  }
  return extents;
}

ByteRange LeftOver::missing() const {
  const Extents there = extents();
  const std::uint64_t begin = there.end_from(0);
  return {.begin = begin, .end = there.next_from(begin).value_or(record.size.count)};
}

void LeftOvers::load() {
  const auto names = files_.list(folder_);
  if (!names) return;
  std::set<std::string> used;
  for (const std::string& name : *names) {
    if (!name.ends_with(kSuffix)) continue;
    const std::string partial = name.substr(0, name.size() - kSuffix.size());
    if (!load_one(partial)) continue;
    used.insert(name);
    used.insert(partial);
  }
  std::size_t removed = 0;
  for (const std::string& name : *names) {
    if (used.contains(name)) continue;
    if (auto result = files_.remove(folder_ + "/" + name); !result) {
      log_warning("a left-over partial download stays: {}", result.error().describe());
    }
    ++removed;
  }
  const std::lock_guard lock(mutex_);
  all_.sort([](const LeftOver& a, const LeftOver& b) { return a.record.saved < b.record.saved; });
  if (removed > 0) log_info("removed {} files of partial downloads that are of no use", removed);
  if (!all_.empty()) {
    log_info("{} partial downloads of a former run go on when their content is asked for", all_.size());
  }
}

// Whether the file is there and its record is of use.
bool LeftOvers::load_one(const std::string& name) {
  const std::string path = folder_ + "/" + name;
  const auto text = read_file(files_, path + std::string(kSuffix), kMostRecord);
  if (!text) return false;
  auto record = FillRecord::parse(*text);
  if (!record || record->ranges.empty() || is_too_old(*record)) return false;
  const auto status = files_.status(path);
  if (!status || status->size.count < record->ranges.back().end) return false;
  const bool is_known =
      std::ranges::any_of(all_, [&](const LeftOver& known) { return known.record.key == record->key; });
  if (is_known) return false;
  Reservation held = budget_.hold(Bytes{total_of(record->ranges)});
  all_.push_back({.path = path,
                  .record = std::move(*record),
                  .reserved = std::move(held),
                  .file = std::make_shared<RecordFile>(files_, path)});
  return true;
}

// A clock that was set back does not make them last.
bool LeftOvers::is_too_old(const FillRecord& record) const {
  const auto age = clock_.wall_now() - record.saved;
  return age > kKept || age < -kKept;
}

std::optional<LeftOver> LeftOvers::take(const FillKey& key) {
  const std::lock_guard lock(mutex_);
  const auto found =
      std::ranges::find_if(all_, [&](const LeftOver& left_over) { return left_over.record.key == key; });
  if (found == all_.end() || !found->writer.expired()) return std::nullopt;
  LeftOver taken = std::move(*found);
  all_.erase(found);
  return taken;
}

void LeftOvers::put(LeftOver left_over) {
  std::list<LeftOver> replaced;
  {
    const std::lock_guard lock(mutex_);
    for (auto i = all_.begin(); i != all_.end();) {
      const auto next = std::next(i);
      if (i->record.key == left_over.record.key) replaced.splice(replaced.end(), all_, i);
      i = next;
    }
    all_.push_back(std::move(left_over));
  }
  for (LeftOver& old : replaced) {
    net::offload_detached(net::Work::kDisk,
                          [this, old = std::move(old)]() mutable { discard(std::move(old)); });
  }
}

Bytes LeftOvers::drop(Bytes bytes) {
  Bytes freed;
  for (;;) {
    std::optional<LeftOver> oldest;
    {
      const std::lock_guard lock(mutex_);
      if (all_.empty()) return freed;
      if (freed >= bytes && !is_too_old(all_.front().record)) return freed;
      oldest.emplace(std::move(all_.front()));
      all_.pop_front();
    }
    freed.count += oldest->reserved.size().count;
    discard(std::move(*oldest));
  }
}

void LeftOvers::discard(LeftOver left_over) {
  (void)left_over.file->remove();  // what it says of the file is of no importance any more
  if (auto removed = files_.remove(left_over.path); !removed) {
    log_warning("{}", removed.error().describe());
    left_over.reserved.keep_for_good();
  }
}

std::size_t LeftOvers::count() const {
  const std::lock_guard lock(mutex_);
  return all_.size();
}

}  // namespace layover::cache
