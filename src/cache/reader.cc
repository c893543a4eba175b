// Waiting on a fill: remember the signal's version, look, wait for the next.
#include "cache/reader.h"

#include <algorithm>
#include <utility>

namespace layover::cache {

namespace {

template <typename Enough>
net::Task<Result<FillView>> wait_until(FillState& fill, Deadline deadline, Enough is_enough) {
  for (;;) {
    const auto seen = fill.progress().version();
    FillView view = fill.view();
    if (is_enough(view)) co_return view;
    if (view.failure) co_return std::unexpected(*view.failure);
    auto changed = co_await fill.progress().changed(seen, deadline);
    if (!changed) {
      co_return failure(ErrorCode::kTimeout, ErrorSource::kUpstream,
                        fill.key().registry.str() + " did not deliver in time");
    }
  }
}

}  // namespace

Reader::Reader(Content content) : content_(std::move(content)) {}

Reader::Reader(std::shared_ptr<FillState> fill, metrics::Gauge readers)
    : fill_(std::move(fill)), readers_(readers) {
  fill_->add_reader();
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
  auto view = co_await wait_until(*fill_, deadline, [](const FillView& v) { return v.is_verified; });
  if (!view) co_return std::unexpected(view.error());
  co_return Result<void>{};
}

std::optional<Bytes> Reader::size() const { return content_ ? content_->size : fill_->view().size; }

bool Reader::has_byte_at(std::uint64_t offset) const {
  return content_ ? offset < content_->size.count : fill_->readable_end(offset) > offset;
}

net::Task<Result<ByteRange>> Reader::next(std::uint64_t offset, std::uint64_t end) {
  if (content_) co_return ByteRange{.begin = offset, .end = std::min(end, content_->size.count)};
  std::optional<FillState::Want> want;
  bool has_asked = false;
  const auto has_more = [&](const FillView& view) {
    if (view.is_verified || fill_->readable_end(offset) > offset) return true;
    if (!want && !has_asked) {
      has_asked = true;
      if (auto wanted = fill_->want(offset)) want.emplace(std::move(*wanted));
    }
    return false;
  };
  auto view = co_await wait_until(*fill_, Deadline::never(), has_more);
  if (!view) co_return std::unexpected(view.error());
  co_return ByteRange{.begin = offset, .end = std::max(offset, std::min(end, fill_->readable_end(offset)))};
}

bool Reader::may_be_cold() const { return content_ || fill_->view().is_verified; }

int Reader::fd() const { return content_ ? content_->fd.get() : fill_->view().fd; }

}  // namespace layover::cache
