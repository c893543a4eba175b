// The rule that nothing unverified leaves whole lives in readable_end: the last byte is not readable before
// publish_verified.
#include "cache/fill_state.h"

#include <algorithm>

#include <fmt/format.h>

namespace layover::cache {

namespace {

constexpr std::uint64_t kInTurn = std::uint64_t{1} << 20;

}  // namespace

Error wrong_digest(const FillKey& key, const oci::Digest& found) {
  return {ErrorCode::kDigestMismatch, ErrorSource::kUpstream,
          fmt::format("the bytes from {} are not {}: their digest is {}", key.registry.str(),
                      key.digest.to_string(), found.to_string())};
}

FillState::FillState(FillKey key, Scope leader, ContentKind kind, std::shared_ptr<Prefetch> prefetch)
    : key_(std::move(key)),
      leader_(std::move(leader)),
      kind_(kind),
      prefetch_(std::move(prefetch)),
      progress_(prefetch_ ? prefetch_->signal() : std::make_shared<net::Signal>()) {
  if (!prefetch_) admitted_.emplace(leader_, kind_);
}

FillView FillState::view() const {
  const std::lock_guard lock(mutex_);
  return view_;
}

std::string FillState::media_type() const {
  const std::lock_guard lock(mutex_);
  return media_type_;
}

void FillState::publish_head(std::optional<Bytes> size, std::string media_type) {
  {
    const std::lock_guard lock(mutex_);
    view_.has_head = true;
    view_.size = size;
    media_type_ = std::move(media_type);
  }
  progress_->notify();
}

void FillState::publish_file(UniqueFd fd) {
  const std::lock_guard lock(mutex_);
  file_ = std::move(fd);
  view_.fd = file_.get();
}

void FillState::publish_written(std::span<const ByteRange> ranges) {
  {
    const std::lock_guard lock(mutex_);
    for (const ByteRange& range : ranges) written_.add(range);
  }
  progress_->notify();
}

std::uint64_t FillState::readable_end(std::uint64_t offset) const {
  const std::lock_guard lock(mutex_);
  if (view_.is_verified) return std::max(offset, view_.size->count);
  const std::uint64_t end = written_.end_from(offset);
  // Without a size any byte may be the last one.
  const std::uint64_t size = view_.size ? view_.size->count : end;
  return std::max(offset, std::min(end, size > 0 ? size - 1 : 0));
}

void FillState::publish_verified(Bytes size) {
  {
    const std::lock_guard lock(mutex_);
    view_.size = size;
    view_.is_verified = true;
  }
  progress_->notify();
}

void FillState::publish_failure(Error error) {
  {
    const std::lock_guard lock(mutex_);
    if (view_.is_verified || view_.uncached || view_.failure) return;
    view_.failure = std::move(error);
    are_admissions_open_ = false;
  }
  progress_->notify();
}

void FillState::publish_uncached(UncachedEnd end) {
  {
    const std::lock_guard lock(mutex_);
    written_ = end.in_file;
    view_.uncached = std::make_shared<const UncachedEnd>(std::move(end));
    are_admissions_open_ = false;
  }
  progress_->notify();
}

std::set<std::pair<Scope, ContentKind>> FillState::close_admissions() {
  const std::lock_guard lock(mutex_);
  are_admissions_open_ = false;
  return admitted_;
}

bool FillState::admit(const Scope& scope, ContentKind kind) {
  const std::lock_guard lock(mutex_);
  if (!are_admissions_open_) return false;
  admitted_.emplace(scope, kind);
  return true;
}

bool FillState::is_admitted(const Scope& scope, ContentKind kind) const {
  const std::lock_guard lock(mutex_);
  return admitted_.contains({scope, kind});
}

std::vector<PutTag> FillState::tags() const {
  const std::lock_guard lock(mutex_);
  return tags_;
}

void FillState::record_when_stored(PutTag tag) {
  const std::lock_guard lock(mutex_);
  const bool is_known = std::ranges::any_of(tags_, [&](const PutTag& known) {
    return known.scope == tag.scope && known.variant == tag.variant && known.tag == tag.tag;
  });
  if (!is_known) tags_.push_back(std::move(tag));
}

std::optional<FillState::Want> FillState::want(std::uint64_t offset) {
  {
    const std::lock_guard lock(mutex_);
    if (offset - std::min(offset, written_.end_before(offset)) <= kInTurn) return std::nullopt;
    wants_.insert(offset);
  }
  wanted_->notify();
  return std::optional<Want>(std::in_place, *this, offset);
}

FillState::Want::~Want() {
  if (fill_ == nullptr) return;
  const std::lock_guard lock(fill_->mutex_);
  fill_->wants_.erase(fill_->wants_.find(offset_));
}

std::vector<std::uint64_t> FillState::wants() const {
  const std::lock_guard lock(mutex_);
  return {wants_.begin(), wants_.end()};
}

bool FillState::add_reader() {
  {
    const std::lock_guard lock(mutex_);
    if (is_given_up_) return false;
    ++readers_;
  }
  if (prefetch_) prefetch_->note_asked();
  return true;
}

bool FillState::give_up() {
  const std::lock_guard lock(mutex_);
  if (readers_ == 0) is_given_up_ = true;
  return is_given_up_;
}

bool FillState::has_readers() const {
  const std::lock_guard lock(mutex_);
  return readers_ > 0;
}

void FillState::remove_reader() {
  bool was_last = false;
  {
    const std::lock_guard lock(mutex_);
    was_last = --readers_ == 0;
  }
  progress_->notify();
  if (was_last) abandoned_->notify();
}

std::vector<ByteRange> FillState::written() const {
  const std::lock_guard lock(mutex_);
  return written_.ranges();
}

}  // namespace layover::cache
