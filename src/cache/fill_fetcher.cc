// Each stream is a worker: it fetches its part, carries on where that breaks, and then takes what is free. A
// further one is started for a reader that waits far from all others, or for speed.
#include "cache/fill_fetcher.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "net/wait.h"

namespace layover::cache {

namespace {

/// Bounds a download's memory: with one stream, chunks being received, waiting and being stored.
constexpr std::size_t kChunks = 4;
/// A reader this near to what a stream will bring waits for that.
constexpr std::uint64_t kNear = FillPlan::kClaim;
/// A stream that is going to be dropped in the middle is best dropped when nothing of it is under way.
constexpr std::chrono::milliseconds kLull{25};
/// How far streams run ahead of what is hashed, for the sake of speed.
constexpr std::uint64_t kWindow = std::uint64_t{256} << 20;
/// Smaller contents come by one stream, unless a reader waits far ahead.
constexpr std::uint64_t kWorthPieces = std::uint64_t{32} << 20;
constexpr std::uint64_t kSmallestPiece = std::uint64_t{2} << 20;
constexpr std::uint64_t kLargestPiece = FillPlan::kClaim;  // which is its stream's alone

/// Of a stream beside others: an upstream that refuses one more, or one place, is not asked again and again
/// because the others go on. One that is told so by an answer is not asked again at all.
constexpr unsigned kVainTries = 1;
/// Of one of several streams.
constexpr std::chrono::seconds kStallBesideOthers{5};
/// Before it is asked for a further stream again.
constexpr std::chrono::seconds kRefusedPause{5};

}  // namespace

/// A worker's place in the count, taken when it was spawned.
class FillFetcher::WorkerCount {
 public:
  explicit WorkerCount(FillFetcher& fetcher) : fetcher_(fetcher) {}
  WorkerCount(const WorkerCount&) = delete;
  WorkerCount& operator=(const WorkerCount&) = delete;
  ~WorkerCount() {
    --fetcher_.workers_;
    if (fetcher_.extra_taken_ == 0) return;
    --fetcher_.extra_taken_;
    fetcher_.extra_.give_back();
  }

 private:
  FillFetcher& fetcher_;
};

FillFetcher::FillFetcher(net::Loop& loop, FillState& state, Source& source, FetchLimits limits,
                         ExtraStreams& extra)
    : loop_(loop),
      state_(state),
      source_(source),
      limits_(limits),
      extra_(extra),
      patience_(limits.patience),
      tuner_(limits.streams),
      tasks_(loop_) {}

FillFetcher::~FillFetcher() {
  tasks_.cancel();
  // Of workers that had not begun.
  for (; extra_taken_ > 0; --extra_taken_) extra_.give_back();
}

void FillFetcher::start(std::unique_ptr<SourceStream> first) {
  const SourceHead& head = first->head();
  plan_.set_size(head.size);
  takes_ranges_ = head.size && head.takes_ranges;
  const auto whole = plan_.free_from(0);
  if (!whole) return;  // there is nothing in it
  spawn(*whole, std::move(first));
  if (takes_ranges_ && limits_.streams > 1) tasks_.spawn(tend());
}

void FillFetcher::start_missing(std::optional<Bytes> size, Extents there,
                                std::unique_ptr<SourceStream> first) {
  plan_.set_size(size);
  plan_.set_received(std::move(there));
  if (const auto missing = plan_.free_from(0)) spawn(*missing, std::move(first));
}

net::Task<Result<std::vector<Chunk>>> FillFetcher::next() {
  while (received_.empty() && !is_whole() && !failure_) co_await has_received_.wait();
  // What has come before a failure is as good as any.
  if (received_.empty() && failure_) co_return std::unexpected(*failure_);
  co_return std::exchange(received_, {});
}

void FillFetcher::give_back(std::vector<Chunk> chunks) {
  for (Chunk& chunk : chunks) free(std::move(chunk));
}

void FillFetcher::free(Chunk chunk) {
  free_.push_back(std::move(chunk));
  if (waiting_for_chunk_.empty()) return;
  waiting_for_chunk_.front()->notify();
  waiting_for_chunk_.pop_front();
}

net::Task<Chunk> FillFetcher::take_chunk() {
  for (;;) {
    if (!free_.empty()) {
      Chunk chunk = std::move(free_.back());
      free_.pop_back();
      co_return chunk;
    }
    if (made_ < kChunks + workers_ - 1) {
      ++made_;
      co_return Chunk{.bytes = std::make_unique_for_overwrite<std::byte[]>(Chunk::kCapacity)};
    }
    net::Event freed;
    waiting_for_chunk_.push_back(&freed);
    co_await freed.wait();
  }
}

// False where there are too many already.
bool FillFetcher::spawn(ByteRange request, std::unique_ptr<SourceStream> stream) {
  if (workers_ > 0) {
    const bool may_be_one_more = takes_ranges_ && workers_ < limits_.streams && refused_until_.has_passed();
    if (!may_be_one_more || !extra_.take()) return false;
    ++extra_taken_;
  }
  ++workers_;
  tasks_.spawn(work(plan_.start(request), std::move(stream)));
  return true;
}

net::Task<void> FillFetcher::work(FillPlan::Handle part, std::unique_ptr<SourceStream> stream) {
  const WorkerCount count(*this);
  for (;;) {
    auto error = co_await fetch(part, std::move(stream));
    plan_.end(part);
    if (error && workers_ > 1) {
      tuner_.limit_to(workers_ - 1);
      target_ = std::min(target_, workers_ - 1);
      refused_until_ = Deadline::after(kRefusedPause);
      co_return;  // the others bring it
    }
    if (error) failure_ = std::move(*error);
    const auto request = next_request();
    if (!request) break;
    part = plan_.start(*request);
  }
  has_received_.notify();
}

net::Task<std::optional<Error>> FillFetcher::fetch(FillPlan::Handle part,
                                                   std::unique_ptr<SourceStream> stream) {
  unsigned in_vain = 0;  // tries, one after the other
  while (plan_.extend(part)) {
    std::optional<Error> error;
    auto stage = FillPatience::Stage::kOpening;
    const std::uint64_t begin = part->claimed.begin;
    if (!stream) {
      auto opened = co_await reopen(part);
      if (!opened && is_past_end(opened.error(), begin)) {
        has_come_to_end_ = true;
        co_return std::nullopt;
      }
      if (opened) {
        stream = std::move(*opened);
      } else {
        error = opened.error();
      }
    }
    if (stream && part->claimed.begin != begin) {
      stream.reset();  // another has taken over what this was opened for
      continue;
    }
    if (stream) {
      plan_.set_open(part, true);
      auto received = co_await receive(part, *stream);
      plan_.set_open(part, false);
      if (received && *received == Received::kAll) co_return std::nullopt;
      stream.reset();
      if (received) {
        plan_.leave_to_others(part);
        continue;
      }
      error = received.error();
      stage = FillPatience::Stage::kReceiving;
    }
    in_vain = part->claimed.begin > begin ? 0 : in_vain + 1;
    if (workers_ > 1 && in_vain > (error->answer() != nullptr ? 0 : kVainTries)) co_return error;
    const auto pause = patience_.pause_after(*error, stage, plan_.received());
    if (!pause) co_return error;
    log_info("the download of {} from {} is carried on from byte {} in {} ms: {}",
             state_.key().digest.to_string(), state_.key().registry.str(), part->claimed.begin,
             pause->count(), error->describe());
    if (pause->count() > 0) co_await net::sleep_until(Deadline::after(*pause));
  }
  co_return std::nullopt;
}

// Of content whose size nobody has told, all that there is may have come before the stream broke: the digest
// tells.
bool FillFetcher::is_past_end(const Error& error, std::uint64_t begin) const {
  const UpstreamAnswer* answer = error.answer();
  return !plan_.size() && begin > 0 && answer != nullptr && answer->status == 416;
}

net::Task<Result<std::unique_ptr<SourceStream>>> FillFetcher::reopen(FillPlan::Handle part) {
  const std::uint64_t begin = part->claimed.begin;
  SourceRange range{.begin = begin, .end = std::nullopt, .size = plan_.size(), .is_extra = workers_ > 1};
  if (plan_.size() && part->request_end < plan_.size()->count) range.end = part->request_end;
  auto opened = co_await source_.open(range, earlier(Deadline::after(limits_.patience), stall_limit()));
  if (!opened) co_return opened;
  SourceStream& stream = **opened;
  if (stream.head().begin == begin) co_return opened;
  takes_ranges_ = false;
  if (workers_ > 1) {
    co_return failure(ErrorCode::kUnsupported, ErrorSource::kUpstream,
                      fmt::format("{} gives no ranges", state_.key().registry.str()));
  }
  auto skipped = co_await skip(stream, begin - stream.head().begin, stream_deadline());
  if (!skipped) co_return std::unexpected(skipped.error());
  co_return opened;
}

// Clients get nothing of small content before they have it whole: it must come, and from somebody else where
// one is slow, while they wait.
Deadline FillFetcher::stream_deadline() const {
  const bool is_small =
      plan_.size() ? *plan_.size() <= kVerifiedFirst : state_.kind() == ContentKind::kManifest;
  return is_small ? Deadline::after(limits_.patience / 2) : Deadline::never();
}

// What a stream has claimed waits for it, however fast the others are.
Deadline FillFetcher::stall_limit() const {
  return workers_ > 1 ? Deadline::after(kStallBesideOthers) : Deadline::never();
}

net::Task<Result<void>> FillFetcher::skip(SourceStream& stream, std::uint64_t n, Deadline deadline) {
  Chunk chunk = co_await take_chunk();
  Result<void> result;
  while (n > 0 && result) {
    const std::size_t most = std::min<std::uint64_t>(n, Chunk::kCapacity);
    auto read = co_await stream.read({chunk.bytes.get(), most}, deadline);
    if (!read) {
      result = std::unexpected(read.error());
    } else if (*read == 0) {
      result = failure(ErrorCode::kShortBody, ErrorSource::kUpstream,
                       fmt::format("{} sent less than before", state_.key().registry.str()));
    } else {
      n -= *read;
    }
  }
  free(std::move(chunk));
  co_return result;
}

net::Task<Result<FillFetcher::Received>> FillFetcher::receive(FillPlan::Handle part, SourceStream& stream) {
  const Deadline deadline = stream_deadline();
  while (plan_.extend(part)) {
    if (plan_.is_overtaken(part) && !co_await stream.has_more_by(Deadline::after(kLull))) {
      co_return Received::kUntilLull;
    }
    Chunk chunk = co_await take_chunk();
    const std::size_t most = std::min<std::uint64_t>(part->claimed.length(), Chunk::kCapacity);
    auto n = co_await stream.read({chunk.bytes.get(), most}, earlier(deadline, stall_limit()));
    if (!n || *n == 0) {
      free(std::move(chunk));
      if (!n) co_return std::unexpected(n.error());
      if (plan_.size()) {
        co_return failure(
            ErrorCode::kShortBody, ErrorSource::kUpstream,
            fmt::format("{} ended at byte {}", state_.key().registry.str(), part->claimed.begin));
      }
      has_come_to_end_ = true;
      break;
    }
    chunk.offset = part->claimed.begin;
    chunk.length = *n;
    plan_.receive(part, *n);
    received_.push_back(std::move(chunk));
    has_received_.notify();
    // Those who wait are not kept waiting for what else is there.
    if (plan_.received() == *n) co_await net::next_turn();
  }
  co_return Received::kAll;
}

net::Task<void> FillFetcher::tend() {
  const bool may_be_worth_more = plan_.size()->count >= kWorthPieces;
  auto next_sample = Deadline::after({});
  while (takes_ranges_ && !is_whole() && !failure_) {
    const auto seen = state_.wanted().version();
    spawn_for_readers();
    if (may_be_worth_more && next_sample.has_passed()) {
      if (!state_.is_unasked()) spawn_for_speed();
      next_sample = Deadline::after(StreamTuner::kInterval);
    }
    auto changed =
        co_await state_.wanted().changed(seen, may_be_worth_more ? next_sample : Deadline::never());
    (void)changed;  // either way: look
  }
}

void FillFetcher::spawn_for_readers() {
  while (const auto request = wanted_request()) {
    if (!spawn(*request)) return;
  }
}

void FillFetcher::spawn_for_speed() {
  const std::uint64_t missing = plan_.size()->count - plan_.received();
  target_ = tuner_.sample(plan_.received(), missing, Deadline::Clock::now());
  while (workers_ < target_) {
    const auto request = piece();
    if (!request || !spawn(*request)) return;
  }
}

// What the last worker gives up stays undone, so that one takes whatever there is.
std::optional<ByteRange> FillFetcher::next_request() const {
  if (is_whole() || failure_) return std::nullopt;
  if (const auto wanted = wanted_request()) return wanted;
  if (workers_ == 1) return target_ > 1 && takes_ranges_ ? piece() : plan_.free_from(0);
  return workers_ > target_ ? std::nullopt : piece();
}

/// For a reader that no stream comes to soon: to the next byte that somebody has.
std::optional<ByteRange> FillFetcher::wanted_request() const {
  for (const std::uint64_t offset : state_.wants()) {
    if (plan_.is_coming(offset, kNear)) continue;
    const auto free = plan_.free_from(offset);
    if (free && free->begin == offset) return free;
  }
  return std::nullopt;
}

/// For speed: pieces become smaller towards the end, so that all streams end together.
std::optional<ByteRange> FillFetcher::piece() const {
  auto free = plan_.free_from(hashed_);
  if (!free) return std::nullopt;
  if (workers_ > 1 && free->begin >= hashed_ + kWindow) return std::nullopt;
  const std::uint64_t share =
      (plan_.size()->count - plan_.received()) / (std::uint64_t{2} * std::max(target_, 1U));
  const std::uint64_t length = std::clamp(share, kSmallestPiece, kLargestPiece);
  free->end = std::min(free->end, free->begin + length);
  return free;
}

}  // namespace layover::cache
