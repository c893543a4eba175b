// What an upstream has of one content, as a script: bytes, announcements, delays and failures. Gives the
// cache's Source, so that the cache is tested without a network.
#pragma once

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cache/source.h"
#include "net/signal.h"

namespace layover::test {

/// Shared by the test and the sources made of it, on any loop; thread-safe.
class ScriptedContent : public std::enable_shared_from_this<ScriptedContent> {
 public:
  static constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

  /// Delivers `bytes`, announces their size, allows everything.
  static std::shared_ptr<ScriptedContent> of(std::string bytes) {
    return std::shared_ptr<ScriptedContent>(new ScriptedContent(std::move(bytes)));
  }

  /// The size in the answer's head; nothing: upstream does not say.
  void announce(std::optional<std::uint64_t> size) {
    change([&] { announced_ = size; });
  }
  void set_content_type(std::string type) {
    change([&] { content_type_ = std::move(type); });
  }
  void set_bytes(std::string bytes) {
    change([&] { bytes_ = std::move(bytes); });
  }
  /// GETs wait, or go on.
  void hold_answer(bool is_held) {
    change([&] { is_answer_held_ = is_held; });
  }
  void hold_confirm(bool is_held) {
    change([&] { is_confirm_held_ = is_held; });
  }
  /// The body stops before byte `limit` until a larger limit is set.
  void limit(std::uint64_t limit) {
    change([&] { limit_ = limit; });
  }
  /// The body breaks at byte `at` with `error`.
  void break_at(std::uint64_t at, Error error) {
    change([&] { break_ = std::pair(at, std::move(error)); });
  }
  /// GETs fail, or work again.
  void refuse_open(std::optional<Error> error) {
    change([&] { open_error_ = std::move(error); });
  }
  /// HEADs fail, or work again.
  void refuse_confirm(std::optional<Error> error) {
    change([&] { confirm_error_ = std::move(error); });
  }
  /// Whether parts are given; else every GET is answered with the whole.
  void give_ranges(bool are_given) {
    change([&] { gives_ranges_ = are_given; });
  }
  /// The break is for the first stream alone: the next one goes on.
  void break_once_at(std::uint64_t at, Error error) {
    change([&] {
      break_ = std::pair(at, std::move(error));
      is_break_for_one_ = true;
    });
  }
  /// At most so many bytes a read.
  void set_piece(std::size_t bytes) {
    change([&] { piece_ = bytes; });
  }

  int opens() const { return get(&ScriptedContent::opens_); }
  /// Where the streams were asked to begin, in their order.
  std::vector<std::uint64_t> begins() const {
    const std::lock_guard lock(mutex_);
    return begins_;
  }
  /// Bytes that were given in all.
  std::uint64_t given() const {
    const std::lock_guard lock(mutex_);
    return given_;
  }
  int confirms() const { return get(&ScriptedContent::confirms_); }
  /// Downloads that have not been given up.
  int running() const { return get(&ScriptedContent::running_); }

  std::shared_ptr<cache::Source> source();

 private:
  class ScriptedStream;
  class ScriptedSource;

  explicit ScriptedContent(std::string bytes) : bytes_(std::move(bytes)), announced_(bytes_.size()) {}

  template <typename Change>
  void change(Change change) {
    {
      const std::lock_guard lock(mutex_);
      change();
    }
    changed_->notify();
  }
  int get(int ScriptedContent::* count) const {
    const std::lock_guard lock(mutex_);
    return this->*count;
  }
  cache::SourceHead head() const {
    cache::SourceHead head{.size = std::nullopt, .content_type = content_type_};
    if (announced_) head.size = Bytes{*announced_};
    return head;
  }
  /// Waits as long as `is_held` is true.
  static net::Task<Result<void>> pass(std::shared_ptr<ScriptedContent> self, bool ScriptedContent::* is_held,
                                      Deadline deadline) {
    for (;;) {
      const auto seen = self->changed_->version();
      {
        const std::lock_guard lock(self->mutex_);
        if (!((*self).*is_held)) co_return Result<void>{};
      }
      auto changed = co_await self->changed_->changed(seen, deadline);
      if (!changed) co_return failure(ErrorCode::kTimeout, ErrorSource::kUpstream, "upstream was silent");
    }
  }

  const std::shared_ptr<net::Signal> changed_ = std::make_shared<net::Signal>();
  mutable std::mutex mutex_;
  std::string bytes_;
  std::optional<std::uint64_t> announced_;
  std::string content_type_;
  bool is_answer_held_ = false;
  bool is_confirm_held_ = false;
  std::uint64_t limit_ = kNoLimit;
  std::size_t piece_ = std::numeric_limits<std::size_t>::max();
  std::optional<std::pair<std::uint64_t, Error>> break_;
  std::optional<Error> open_error_;
  std::optional<Error> confirm_error_;
  bool gives_ranges_ = true;
  bool is_break_for_one_ = false;
  std::vector<std::uint64_t> begins_;
  std::uint64_t given_ = 0;
  int opens_ = 0;
  int confirms_ = 0;
  int running_ = 0;
};

class ScriptedContent::ScriptedStream final : public cache::SourceStream {
 public:
  ScriptedStream(std::shared_ptr<ScriptedContent> content, cache::SourceHead head, std::uint64_t end)
      : content_(std::move(content)), head_(std::move(head)), offset_(head_.begin), end_(end) {}
  ~ScriptedStream() override {
    const std::lock_guard lock(content_->mutex_);
    --content_->running_;
  }

  const cache::SourceHead& head() const override { return head_; }
  net::Task<Result<std::size_t>> read(std::span<std::byte> into, Deadline deadline) override {
    for (;;) {
      const auto seen = content_->changed_->version();
      if (auto now = read_now(into)) co_return std::move(*now);
      auto changed = co_await content_->changed_->changed(seen, deadline);
      if (!changed) co_return failure(ErrorCode::kTimeout, ErrorSource::kUpstream, "upstream stalls");
    }
  }
  net::Task<bool> has_more_by(Deadline deadline) override {
    for (;;) {
      const auto seen = content_->changed_->version();
      if (has_more()) co_return true;
      auto changed = co_await content_->changed_->changed(seen, deadline);
      if (!changed) co_return false;
    }
  }

 private:
  bool has_more() const {
    const std::lock_guard lock(content_->mutex_);
    const std::uint64_t whole = std::min<std::uint64_t>(content_->bytes_.size(), end_);
    const bool is_about_to_break = content_->break_ && offset_ == content_->break_->first;
    return is_about_to_break || offset_ == whole || offset_ < std::min(whole, content_->limit_);
  }
  /// Nothing where it has to wait.
  std::optional<Result<std::size_t>> read_now(std::span<std::byte> into) {
    const std::lock_guard lock(content_->mutex_);
    const std::uint64_t whole = std::min<std::uint64_t>(content_->bytes_.size(), end_);
    std::uint64_t end = std::min(whole, content_->limit_);
    if (content_->break_ && offset_ <= content_->break_->first) {
      end = std::min(end, content_->break_->first);
      if (offset_ == content_->break_->first) {
        Error error = content_->break_->second;
        if (content_->is_break_for_one_) content_->break_.reset();
        return std::unexpected(std::move(error));
      }
    }
    if (offset_ == whole) return std::size_t{0};
    if (offset_ >= end) return std::nullopt;
    const std::size_t n = std::min({into.size(), std::size_t{end - offset_}, content_->piece_});
    std::memcpy(into.data(), content_->bytes_.data() + offset_, n);
    offset_ += n;
    content_->given_ += n;
    return n;
  }

  std::shared_ptr<ScriptedContent> content_;
  cache::SourceHead head_;
  std::uint64_t offset_;
  const std::uint64_t end_;
};

class ScriptedContent::ScriptedSource final : public cache::Source {
 public:
  explicit ScriptedSource(std::shared_ptr<ScriptedContent> content) : content_(std::move(content)) {}

  net::Task<Result<cache::SourceHead>> confirm(cache::Fallback /*fallback*/, std::optional<Bytes> /*stored*/,
                                               Deadline deadline) override {
    {
      const std::lock_guard lock(content_->mutex_);
      ++content_->confirms_;
    }
    auto passed = co_await pass(content_, &ScriptedContent::is_confirm_held_, deadline);
    if (!passed) co_return std::unexpected(passed.error());
    const std::lock_guard lock(content_->mutex_);
    if (content_->confirm_error_) co_return std::unexpected(*content_->confirm_error_);
    co_return content_->head();
  }

  net::Task<Result<std::unique_ptr<cache::SourceStream>>> open(cache::SourceRange range,
                                                               Deadline deadline) override {
    {
      const std::lock_guard lock(content_->mutex_);
      ++content_->opens_;
      content_->begins_.push_back(range.begin);
    }
    auto passed = co_await pass(content_, &ScriptedContent::is_answer_held_, deadline);
    if (!passed) co_return std::unexpected(passed.error());
    cache::SourceHead head;
    {
      const std::lock_guard lock(content_->mutex_);
      if (content_->open_error_) co_return std::unexpected(*content_->open_error_);
      ++content_->running_;
      head = content_->head();
      if (!content_->gives_ranges_) range = {};
    }
    head.begin = range.begin;
    std::unique_ptr<cache::SourceStream> stream = std::make_unique<ScriptedStream>(
        content_, std::move(head), range.end.value_or(std::numeric_limits<std::uint64_t>::max()));
    co_return std::move(stream);
  }

 private:
  std::shared_ptr<ScriptedContent> content_;
};

inline std::shared_ptr<cache::Source> ScriptedContent::source() {
  return std::make_shared<ScriptedSource>(shared_from_this());
}

}  // namespace layover::test
