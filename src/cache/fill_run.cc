// The fetcher's tasks receive into chunks; all that are ready are handed to one offloaded job, which writes
// and hashes them. While the job runs, the next chunks arrive.
#include "cache/fill_run.h"

#include <fcntl.h>

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "net/offload.h"

namespace layover::cache {

namespace {

/// For room on the disk: clients that would wait longer are better off without it.
constexpr std::chrono::seconds kSpacePatience{5};

/// How many bytes a crash may cost: the record beside the file is replaced that often.
constexpr std::uint64_t kBetweenSaves = std::uint64_t{64} << 20;

/// Whether upstream goes on without the file where a fill has ended so.
bool is_about_storing(const Error& error) {
  return error.source() == ErrorSource::kDisk ||
         (error.code() == ErrorCode::kTooLarge && error.source() == ErrorSource::kSelf);
}

/// An answer that makes no sense beside what was known, or somebody on the way to the registry who refuses:
/// either may be so for a part alone.
bool is_about_range(const Error& error) {
  return error.code() == ErrorCode::kProtocol ||
         (error.code() == ErrorCode::kStatus && error.answer() == nullptr);
}

}  // namespace

FillRun::FillRun(net::Loop& loop, std::shared_ptr<FillState> state, std::shared_ptr<Source> source,
                 Committer& committer, LeftOvers& left_overs, FetchLimits limits, ExtraStreams& extra,
                 std::shared_ptr<HandOver> hand_over)
    : state_(std::move(state)),
      source_(std::move(source)),
      committer_(committer),
      hand_over_(std::move(hand_over)),
      left_overs_(left_overs),
      reserved_(committer.budget()),
      fetcher_(loop, *state_, *source_, limits, extra) {}

FillRun::~FillRun() {
  if (left_over_) left_overs_.put(std::move(*left_over_));
  if (path_.empty()) return;
  if (is_worth_keeping()) {
    keep();
    return;
  }
  net::offload_detached(net::Work::kDisk,
                        [&files = committer_.directory().files(), path = path_, record_file = record_file_,
                         reserved = std::move(reserved_)]() mutable {
                          if (record_file) (void)record_file->remove();
                          if (auto removed = files.remove(path); !removed) {
                            log_warning("{}", removed.error().describe());
                            reserved.keep_for_good();
                          }
                        });
}

net::Task<Result<void>> FillRun::download(Deadline first_byte) {
  if (state_->kind() == ContentKind::kBlob) {
    if (auto taken = left_overs_.take(state_->key()))
      left_over_ = std::make_unique<LeftOver>(std::move(*taken));
  }
  auto opened = co_await open_source(first_byte);
  if (!opened) co_return std::unexpected(opened.error());
  const SourceHead head = (*opened)->head();
  if (auto problem = find_size_problem(head)) co_return std::unexpected(*problem);
  if (state_->is_unasked()) {
    if (auto fits = check_prefetch(head); !fits) co_return fits;
  }
  auto prepared = co_await prepare(head.size, first_byte);
  if (!prepared && prepared.error().code() == ErrorCode::kCancelled) co_return prepared;
  if (!prepared) {
    if (head.begin == 0) *hand_over_ = {.source = source_, .stream = std::move(*opened)};
    co_await end_uncached(prepared.error());
  }
  state_->publish_head(head.size, head.content_type);
  if (!prepared) co_return prepared;
  fetcher_.start(std::move(*opened));
  auto stored = co_await store_all();
  if (stored) stored = verify();
  if (stored) co_return stored;
  fetcher_.stop();
  if (is_about_storing(stored.error())) {
    is_spoiled_ = true;
    co_await end_uncached(stored.error());
  }
  co_return stored;
}

// A left-over goes on where it ends. What upstream makes impossible, by another size or by giving no ranges,
// is begun anew; trouble and refusals leave it for the next fill.
net::Task<Result<std::unique_ptr<SourceStream>>> FillRun::open_source(Deadline first_byte) {
  if (left_over_) {
    const ByteRange missing = left_over_->missing();
    SourceRange range{.begin = missing.begin, .end = std::nullopt, .size = left_over_->record.size};
    if (missing.end < range.size->count) range.end = missing.end;
    auto opened = co_await source_->open(range, first_byte);
    std::string reason = opened ? "ranges are not given, or the size has changed" : opened.error().describe();
    if (!opened && is_about_range(opened.error())) {
      // Perhaps it contradicts what is there and not itself: the whole tells, and where that is not to be had
      // the left-over stays.
      opened = co_await source_->open({}, first_byte);
      if (!opened) co_return opened;
    }
    const bool is_given_up = !opened && opened.error().code() == ErrorCode::kCancelled;
    if (!opened && (is_given_up || opened.error().is_outage() || opened.error().is_refusal())) {
      co_return opened;
    }
    const bool fits =
        opened && (*opened)->head().begin == missing.begin && (*opened)->head().size == range.size;
    if (fits) {
      take_over(std::move(*left_over_));
      left_over_.reset();
      co_return opened;
    }
    log_info("the partial download of {} from {} cannot go on, since {}: it begins anew",
             state_->key().digest.to_string(), state_->key().registry.str(), reason);
    // No longer ours while the job runs: a fill that is cancelled then has nothing to put back.
    co_await net::offload(net::Work::kDisk,
                          [&left_overs = left_overs_, useless = std::move(left_over_)]() mutable {
                            left_overs.discard(std::move(*useless));
                            return true;
                          });
    if (opened && (*opened)->head().begin == 0) co_return opened;
  }
  co_return co_await source_->open({}, first_byte);
}

void FillRun::take_over(LeftOver left_over) {
  fetcher_.adopt(left_over.extents());
  used_ = left_over.extents();
  used_of_ = left_over.record.size;
  path_ = std::move(left_over.path);
  record_file_ = std::move(left_over.file);
  saved_ = used_.total();
  reserved_.absorb(std::move(left_over.reserved));
}

net::Task<Result<void>> FillRun::prepare(std::optional<Bytes> size, Deadline first_byte) {
  if (auto allowed = check_limit(size.value_or(Bytes{})); !allowed) co_return allowed;
  auto reserved = co_await reserve(size.value_or(committer_.budget().ahead_of(Bytes{0})),
                                   earlier(first_byte, Deadline::after(kSpacePatience)));
  if (!reserved) co_return reserved;
  co_return co_await open_file();
}

Result<void> FillRun::check_limit(Bytes size) const {
  const Bytes limit = committer_.budget().limits().max_object;
  if (limit.count == 0 || size <= limit || state_->kind() == ContentKind::kManifest) return {};
  return failure(ErrorCode::kTooLarge, ErrorSource::kSelf,
                 fmt::format("{} has {} bytes, more than cache.max_object ({} bytes)",
                             state_->key().digest.to_string(), size.count, limit.count));
}

// What is in the file and not hashed yet is hashed first, as far as it can be read: readers go on from there.
net::Task<void> FillRun::end_uncached(Error reason) {
  bool is_readable = true;
  while (store_ && is_readable && store_->has_more_to_hash()) {
    auto hashed = co_await store({});
    is_readable = hashed.has_value();
  }
  if (store_) {
    // Behind what cannot be read nobody knows what can be.
    Extents in_file = store_->extents();
    if (!is_readable) {
      in_file = {};
      in_file.add({.begin = 0, .end = store_->hashed()});
    }
    state_->publish_uncached({.reason = std::move(reason),
                              .in_file = std::move(in_file),
                              .hashed = store_->hashed(),
                              .hasher = store_->hasher()});
  } else {
    state_->publish_uncached({.reason = std::move(reason),
                              .in_file = {},
                              .hashed = 0,
                              .hasher = Hasher(state_->key().digest.algorithm())});
  }
}

std::optional<Error> FillRun::find_size_problem(const SourceHead& head) const {
  if (state_->kind() != ContentKind::kManifest || !head.size || *head.size <= kMaxManifest)
    return std::nullopt;
  return Error(ErrorCode::kTooLarge, ErrorSource::kUpstream,
               fmt::format("upstream's manifest {} has {} bytes, more than the {} that are allowed",
                           state_->key().digest.to_string(), head.size->count, kMaxManifest.count));
}

net::Task<Result<void>> FillRun::open_file() {
  FileSystem& files = committer_.directory().files();
  struct Files {
    PartialFile partial;
    UniqueFd written;
    UniqueFd read;
  };
  const bool is_new = path_.empty();
  // Until the result is taken over here, a file that was made is removed with it.
  auto opened = co_await net::offload(
      net::Work::kDisk,
      [&files, &directory = committer_.directory(), is_new,
       path =
           is_new ? committer_.directory().new_fill_file(state_->key().digest) : path_]() -> Result<Files> {
        const int flags = O_RDWR | (is_new ? O_CREAT | O_EXCL : 0);
        auto written = files.open(path, flags, 0640);
        const bool lacks_folder = is_new && !written && written.error().code() == ErrorCode::kNotFound;
        if (lacks_folder && directory.remake_fills_folder()) written = files.open(path, flags, 0640);
        if (!written) return std::unexpected(written.error());
        PartialFile partial(files, is_new ? path : std::string());
        auto read = files.open(path, O_RDWR, 0);
        if (!read) return std::unexpected(read.error());
        return Files{.partial = std::move(partial), .written = std::move(*written), .read = std::move(*read)};
      });
  if (!opened) {
    is_spoiled_ = is_new || opened.error().code() == ErrorCode::kNotFound;
    co_return std::unexpected(opened.error().within("no partial download can be made"));
  }
  if (is_new) path_ = opened->partial.release();
  if (!record_file_) record_file_ = std::make_shared<RecordFile>(files, path_);
  state_->publish_file(std::move(opened->read));
  store_.emplace(files, std::move(opened->written), state_->key().digest.algorithm());
  store_->adopt(used_);
  co_return Result<void>{};
}

net::Task<Result<void>> FillRun::store_all() {
  for (;;) {
    std::vector<Chunk> chunks;
    if (!store_->has_more_to_hash()) {
      auto received = co_await fetcher_.next();
      if (!received) co_return std::unexpected(received.error());
      if (received->empty()) co_return Result<void>{};
      chunks = std::move(*received);
    }
    auto reserved = co_await reserve_for(chunks);
    if (!reserved) co_return reserved;
    std::vector<ByteRange> written;
    written.reserve(chunks.size());
    for (const Chunk& chunk : chunks) written.push_back(chunk.range());
    auto stored = co_await store(std::move(chunks));
    if (!stored) co_return stored;
    // What was there before is published as it is hashed.
    if (has_used_left_over()) written.push_back({.begin = 0, .end = store_->hashed()});
    state_->publish_written(written);
    save_now_and_then();
    if (state_->kind() == ContentKind::kManifest && store_->hashed() > kMaxManifest.count) {
      co_return failure(ErrorCode::kTooLarge, ErrorSource::kUpstream,
                        fmt::format("upstream's manifest has more than {} bytes", kMaxManifest.count));
    }
  }
}

// Where the size is known all of it is reserved already.
net::Task<Result<void>> FillRun::reserve_for(const std::vector<Chunk>& chunks) {
  std::uint64_t needed = 0;
  for (const Chunk& chunk : chunks) needed = std::max(needed, chunk.range().end);
  if (auto allowed = check_limit(Bytes{needed}); !allowed) co_return allowed;
  if (needed <= reserved_.size().count) co_return Result<void>{};
  co_return co_await reserve(committer_.budget().ahead_of(Bytes{needed}), Deadline::after(kSpacePatience));
}

// A prefetch takes no room from others, unless a client asks for it in the meantime.
net::Task<Result<void>> FillRun::reserve(Bytes size, Deadline deadline) {
  if (state_->is_unasked()) {
    auto spare = co_await committer_.budget().reserve_spare(reserved_, size);
    if (spare) co_return spare;
    if (state_->give_up()) {
      co_return std::unexpected(Error(ErrorCode::kCancelled, ErrorSource::kClient, spare.error().describe()));
    }
  }
  co_return co_await committer_.budget().reserve(reserved_, size, deadline);
}

// What a manifest says of a size is its author's word: a prefetch goes by it and brings no more.
Result<void> FillRun::check_prefetch(const SourceHead& head) {
  const bool is_as_expected = head.size && *head.size == state_->prefetch()->size();
  if (is_as_expected || !state_->give_up()) return {};
  return failure(
      ErrorCode::kCancelled, ErrorSource::kClient,
      fmt::format("the manifest gives {} another size than upstream", state_->key().digest.to_string()));
}

net::Task<Result<void>> FillRun::store(std::vector<Chunk> chunks) {
  struct Stored {
    FillStore store;
    std::vector<Chunk> chunks;
    Result<void> result;
  };
  auto done = co_await net::offload(
      net::Work::kDisk, [store = std::move(*store_), chunks = std::move(chunks), writer = writer_]() mutable {
        Result<void> result = store.store(chunks);
        return Stored{.store = std::move(store), .chunks = std::move(chunks), .result = std::move(result)};
      });
  store_ = std::move(done.store);
  reserved_.note_written(Bytes{store_->written()});
  fetcher_.note_hashed(store_->hashed());
  fetcher_.give_back(std::move(done.chunks));
  co_return std::move(done.result);
}

Result<void> FillRun::verify() {
  const oci::Digest& wanted = state_->key().digest;
  const FillView view = state_->view();
  if (view.size && view.size->count != store_->hashed()) {
    is_spoiled_ = true;
    return failure(ErrorCode::kShortBody, ErrorSource::kUpstream,
                   fmt::format("upstream sent {} bytes of {} where it announced {}", store_->hashed(),
                               wanted.to_string(), view.size->count));
  }
  const oci::Digest found = store_->finish();
  if (found != wanted) {
    is_spoiled_ = true;
    return std::unexpected(wrong_digest(state_->key(), found));
  }
  reserved_.shrink_to(Bytes{store_->hashed()});
  state_->publish_verified(Bytes{store_->hashed()});
  store_.reset();
  return {};
}

// Now and then, so that a crash costs little; beside the download.
void FillRun::save_now_and_then() {
  const bool is_due = store_->written() >= saved_ + kBetweenSaves;
  if (!is_due || !state_->view().size || record_file_->is_saving()) return;
  saved_ = store_->written();
  save(record());
}

void FillRun::save(FillRecord record) const {
  net::offload_detached(net::Work::kSync, [state = state_, file = record_file_, record = std::move(record)] {
    if (auto saved = file->save(state->view().fd, record); !saved) {
      log_warning("what is there of a download could not be recorded: {}", saved.error().describe());
    }
  });
}

/// Upstream's word, or before that what a left-over's record says.
std::optional<Bytes> FillRun::known_size() const {
  const auto told = state_->view().size;
  return told ? told : used_of_;
}

FillRecord FillRun::record() const {
  return {.key = state_->key(),
          .size = known_size().value_or(Bytes{}),
          .saved = left_overs_.now(),
          .ranges = in_file().ranges()};
}

Extents FillRun::in_file() const {
  Extents all = used_;
  for (const ByteRange& range : state_->written()) all.add(range);
  return all;
}

bool FillRun::is_worth_keeping() const {
  const bool is_blob = state_->kind() == ContentKind::kBlob;
  if (is_spoiled_ || state_->view().is_verified || !known_size() || !is_blob) return false;
  return in_file().total() >= LeftOvers::kLeast.count;
}

// It is there for the next fill at once; for the next start once it is recorded.
void FillRun::keep() {
  FillRecord kept = record();
  reserved_.shrink_to(Bytes{in_file().total()});
  left_overs_.put({.path = std::exchange(path_, {}),
                   .record = kept,
                   .reserved = std::move(reserved_),
                   .file = record_file_,
                   .writer = writer_});
  // Where the file has not been opened, the record that is there says the same.
  if (state_->view().fd >= 0) save(std::move(kept));
}

net::Task<Result<void>> FillRun::commit() {
  if (saved_ > 0) {
    auto clean = co_await net::offload(net::Work::kSync, [file = record_file_] { return file->remove(); });
    if (!clean) {
      is_spoiled_ = true;
      co_return clean;
    }
  }
  co_return co_await committer_.commit(state_, std::exchange(path_, {}), std::move(reserved_));
}

}  // namespace layover::cache
