// Two tasks share the work: one receives into chunks, the other hands all chunks that are ready to one
// offloaded job, which writes and hashes them. While the job runs, the next chunks arrive.
#include "cache/fill_run.h"

#include <fcntl.h>

#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "net/offload.h"

namespace layover::cache {

namespace {

constexpr std::size_t kChunkBytes = std::size_t{256} << 10;
/// Bounds a fill's memory: chunks being received, waiting and being stored.
constexpr std::size_t kChunks = 4;
/// For room on the disk: less than clients wait for a first byte, so that they get a clear answer.
constexpr std::chrono::seconds kSpacePatience{10};

}  // namespace

FillRun::FillRun(net::Loop& loop, std::shared_ptr<FillState> state, std::shared_ptr<Source> source,
                 Committer& committer)
    : state_(std::move(state)),
      source_(std::move(source)),
      committer_(committer),
      reserved_(committer.budget()),
      receiver_(loop) {}

FillRun::~FillRun() {
  if (path_.empty()) return;
  net::offload_detached(net::Work::kDisk, [&files = committer_.directory().files(), path = path_,
                                           reserved = std::move(reserved_)]() mutable {
    if (auto removed = files.remove(path); !removed) {
      log_warning("{}", removed.error().describe());
      reserved.keep_for_good();
    }
  });
}

net::Task<Result<void>> FillRun::download(Deadline first_byte) {
  auto opened = co_await source_->open(first_byte);
  if (!opened) co_return std::unexpected(opened.error());
  stream_ = std::move(*opened);
  if (auto problem = find_size_problem(stream_->head())) co_return std::unexpected(*problem);
  const Bytes size = stream_->head().size.value_or(committer_.budget().ahead_of(Bytes{0}));
  auto reserved = co_await committer_.budget().reserve(reserved_, size,
                                                       earlier(first_byte, Deadline::after(kSpacePatience)));
  if (!reserved) co_return reserved;
  auto file = co_await open_file();
  if (!file) co_return file;
  state_->publish_head(stream_->head().size, stream_->head().content_type);

  for (std::size_t i = 0; i < kChunks; ++i) free_.push_back({.bytes = nullptr});
  receiver_.spawn(receive());
  auto stored = co_await store();
  receiver_.cancel();  // it may still wait on the stream
  stream_.reset();
  if (!stored) co_return stored;
  co_return verify();
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
  // Until the result is taken over here, a file that was made is removed with it.
  auto opened = co_await net::offload(
      net::Work::kDisk,
      [&files, path = committer_.directory().new_fill_file(state_->key().digest)]() -> Result<Files> {
        auto written = files.open(path, O_RDWR | O_CREAT | O_EXCL, 0640);
        if (!written) return std::unexpected(written.error());
        PartialFile partial(files, path);
        auto read = files.open(path, O_RDWR, 0);
        if (!read) return std::unexpected(read.error());
        return Files{.partial = std::move(partial), .written = std::move(*written), .read = std::move(*read)};
      });
  if (!opened) co_return std::unexpected(opened.error().within("no partial download can be made"));
  path_ = opened->partial.release();
  state_->publish_file(std::move(opened->read));
  store_.emplace(
      Store{.file = std::move(opened->written), .hasher = Hasher(state_->key().digest.algorithm())});
  co_return Result<void>{};
}

net::Task<void> FillRun::receive() {
  while (!is_received_whole_ && !receive_error_) {
    while (free_.empty()) co_await has_freed_.wait();
    Chunk chunk = std::move(free_.back());
    free_.pop_back();
    if (!chunk.bytes) chunk.bytes = std::make_unique_for_overwrite<std::byte[]>(kChunkBytes);
    auto n = co_await stream_->read({chunk.bytes.get(), kChunkBytes});
    if (!n) {
      receive_error_ = n.error();
    } else if (*n == 0) {
      is_received_whole_ = true;
    } else {
      chunk.length = *n;
      received_.push_back(std::move(chunk));
    }
    has_received_.notify();
  }
}

net::Task<Result<void>> FillRun::store() {
  for (;;) {
    while (received_.empty() && !is_received_whole_ && !receive_error_) co_await has_received_.wait();
    if (!received_.empty()) {
      auto reserved = co_await reserve_for_chunks();
      if (!reserved) co_return reserved;
      auto stored = co_await store_chunks();
      if (!stored) co_return stored;
      state_->publish_front(store_->front);
      if (state_->kind() == ContentKind::kManifest && store_->front > kMaxManifest.count) {
        co_return failure(ErrorCode::kTooLarge, ErrorSource::kUpstream,
                          fmt::format("upstream's manifest has more than {} bytes", kMaxManifest.count));
      }
    } else if (receive_error_) {
      co_return std::unexpected(*receive_error_);
    } else {
      co_return Result<void>{};
    }
  }
}

// More chunks may arrive meanwhile: they are all stored at once, so all of them are counted.
net::Task<Result<void>> FillRun::reserve_for_chunks() {
  for (;;) {
    std::uint64_t needed = store_->front;
    for (const Chunk& chunk : received_) needed += chunk.length;
    if (needed <= reserved_.size().count) co_return Result<void>{};
    DiskBudget& budget = committer_.budget();
    const Bytes size = budget.ahead_of(Bytes{needed});
    auto reserved = co_await budget.reserve(reserved_, size, Deadline::after(kSpacePatience));
    if (!reserved) co_return reserved;
  }
}

net::Task<Result<void>> FillRun::store_chunks() {
  struct Stored {
    Store store;
    std::vector<Chunk> chunks;
    Result<void> result;
  };
  std::vector<Chunk> chunks(std::make_move_iterator(received_.begin()),
                            std::make_move_iterator(received_.end()));
  received_.clear();
  FileSystem& files = committer_.directory().files();
  auto done = co_await net::offload(
      net::Work::kDisk, [&files, store = std::move(*store_), chunks = std::move(chunks)]() mutable {
        Result<void> result;
        for (const Chunk& chunk : chunks) {
          const std::span<const std::byte> bytes(chunk.bytes.get(), chunk.length);
          result = files.write_at(store.file.get(), bytes, store.front);
          if (!result) break;
          store.hasher.update(bytes);
          store.front += chunk.length;
        }
        return Stored{.store = std::move(store), .chunks = std::move(chunks), .result = std::move(result)};
      });
  store_ = std::move(done.store);
  reserved_.note_written(Bytes{store_->front});
  for (Chunk& chunk : done.chunks) free_.push_back(std::move(chunk));
  has_freed_.notify();
  co_return std::move(done.result);
}

Result<void> FillRun::verify() {
  const oci::Digest& wanted = state_->key().digest;
  const FillView view = state_->view();
  if (view.size && view.size->count != store_->front) {
    return failure(ErrorCode::kShortBody, ErrorSource::kUpstream,
                   fmt::format("upstream sent {} bytes of {} where it announced {}", store_->front,
                               wanted.to_string(), view.size->count));
  }
  const oci::Digest found = store_->hasher.finish();
  if (found != wanted) {
    return failure(ErrorCode::kDigestMismatch, ErrorSource::kUpstream,
                   fmt::format("the bytes from {} are not {}: their digest is {}",
                               state_->key().registry.str(), wanted.to_string(), found.to_string()));
  }
  reserved_.shrink_to(Bytes{store_->front});
  state_->publish_verified(Bytes{store_->front});
  store_.reset();
  return {};
}

net::Task<Result<void>> FillRun::commit() {
  co_return co_await committer_.commit(state_, std::exchange(path_, {}), std::move(reserved_));
}

}  // namespace layover::cache
