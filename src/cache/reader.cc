// Waiting on a fill: remember the signal's version, look, wait for the next.
#include "cache/reader.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "net/task_group.h"

namespace layover::cache {

namespace {

/// Of content that is verified before its first byte is sent: a manifest, at most.
constexpr Bytes kMostInMemory = 8_MiB;

std::unexpected<Error> late(const FillState& fill) {
  return failure(ErrorCode::kTimeout, ErrorSource::kUpstream,
                 fill.key().registry.str() + " did not deliver in time");
}

/// One reads on where a download's file ends; several parts that were asked for before that may need more.
constexpr unsigned kMostStreams = 16;

template <typename Enough>
net::Task<Result<FillView>> wait_until(FillState& fill, Deadline deadline, Enough is_enough) {
  for (;;) {
    const auto seen = fill.progress().version();
    FillView view = fill.view();
    if (is_enough(view)) co_return view;
    if (view.failure) co_return std::unexpected(*view.failure);
    auto changed = co_await fill.progress().changed(seen, deadline);
    if (!changed) co_return late(fill);
  }
}

}  // namespace

Reader::Reader(Content content) : content_(std::move(content)) {}

Reader::Reader(std::shared_ptr<FillState> fill, metrics::Gauge readers, OwnWay own_way)
    : fill_(std::move(fill)), readers_(readers), own_way_(std::move(own_way)) {
  readers_->add();
}

Reader::~Reader() {
  if (!fill_) return;
  fill_->remove_reader();
  readers_->sub();
}

net::Task<Result<void>> Reader::wait_for_head(Deadline deadline) {
  if (content_) co_return Result<void>{};
  auto view = co_await wait_until(*fill_, deadline, [](const FillView& v) { return v.has_head; });
  if (!view) co_return std::unexpected(view.error());
  co_return Result<void>{};
}

net::Task<Result<void>> Reader::wait_until_verified(Deadline deadline) {
  if (content_) co_return Result<void>{};
  auto view =
      co_await wait_until(*fill_, deadline, [](const FillView& v) { return v.is_verified || v.uncached; });
  if (!view) co_return std::unexpected(view.error());
  if (view->uncached) co_return co_await take_into_memory(deadline);
  co_return Result<void>{};
}

net::Task<Result<void>> Reader::take_into_memory(Deadline deadline) {
  Result<std::string> bytes;
  // Its own stream has the patience of a download; who waits for its first byte may have less.
  net::TaskGroup reading(*own_way_->loop);
  reading.spawn(read_all_uncached(bytes));
  const bool is_in_time = co_await reading.drained(deadline);
  reading.cancel();
  own_.reset();
  if (!is_in_time) co_return late(*fill_);
  if (!bytes) co_return std::unexpected(bytes.error());
  whole_ = std::move(*bytes);
  co_return Result<void>{};
}

net::Task<void> Reader::read_all_uncached(Result<std::string>& bytes) {
  const FillView view = fill_->view();
  std::uint64_t size = view.size.value_or(Bytes{}).count;
  while (size <= kMostInMemory.count) {
    auto ready = co_await next_uncached(bytes->size(), std::numeric_limits<std::uint64_t>::max());
    if (!ready) {
      bytes = std::unexpected(ready.error());
      co_return;
    }
    if (ready->empty()) co_return;
    bytes->append(reinterpret_cast<const char*>(in_memory_.data()), in_memory_.size());
    size = std::max<std::uint64_t>(size, bytes->size());
  }
  bytes = std::unexpected(view.uncached->reason);
}

bool Reader::is_bypassing() const {
  if (!fill_) return false;
  const auto uncached = fill_->view().uncached;
  return uncached && (whole_ || uncached->in_file.total() == 0);
}

std::optional<Bytes> Reader::size() const {
  if (whole_) return Bytes{whole_->size()};
  return content_ ? content_->size : fill_->view().size;
}

bool Reader::has_byte_at(std::uint64_t offset) const {
  return content_ ? offset < content_->size.count : fill_->readable_end(offset) > offset;
}

net::Task<Result<ByteRange>> Reader::next(std::uint64_t offset, std::uint64_t end) {
  if (content_) co_return ByteRange{.begin = offset, .end = std::min(end, content_->size.count)};
  if (own_) co_return co_await next_uncached(offset, end);
  std::optional<FillState::Want> want;
  bool has_asked = false;
  const auto has_more = [&](const FillView& view) {
    if (view.is_verified || view.uncached || fill_->readable_end(offset) > offset) return true;
    if (!want && !has_asked) {
      has_asked = true;
      if (auto wanted = fill_->want(offset)) want.emplace(std::move(*wanted));
    }
    return false;
  };
  auto view = co_await wait_until(*fill_, Deadline::never(), has_more);
  if (!view) co_return std::unexpected(view.error());
  const std::uint64_t readable = std::min(end, fill_->readable_end(offset));
  if (readable <= offset && view->uncached) co_return co_await next_uncached(offset, end);
  co_return ByteRange{.begin = offset, .end = std::max(offset, readable)};
}

net::Task<Result<ByteRange>> Reader::next_uncached(std::uint64_t offset, std::uint64_t end) {
  in_memory_ = {};
  const ByteRange wanted{.begin = offset, .end = end};
  if (own_ && !own_->is_at(wanted)) own_.reset();
  if (!own_) {
    if (++streams_ > kMostStreams) {
      co_return failure(ErrorCode::kOverloaded, ErrorSource::kSelf,
                        "so many parts of what the cache could not store cost upstream too much");
    }
    own_ = std::make_unique<UncachedStream>(*own_way_, fill_, wanted);
  }
  auto bytes = co_await own_->next();
  if (!bytes) co_return std::unexpected(bytes.error());
  in_memory_ = bytes->first(std::min<std::uint64_t>(bytes->size(), end - offset));
  own_->consume(in_memory_.size());
  co_return ByteRange{.begin = offset, .end = offset + in_memory_.size()};
}

int Reader::fd() const { return content_ ? content_->file->get() : fill_->view().fd; }

}  // namespace layover::cache
