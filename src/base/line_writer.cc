// Two buffers change places: callers fill the one while the other is written. poll(2) says when a write
// would not block, so the thread can always look up and end, and the descriptor's flags, which other
// processes may share, stay as they are.
#include "base/line_writer.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace layover {

namespace {

/// A writable pipe takes this much without blocking (PIPE_BUF).
constexpr std::size_t kPiece = 4096;
constexpr int kLookUpMilliseconds = 100;
constexpr std::chrono::seconds kEndTime{1};
constexpr std::chrono::seconds kTellEvery{10};

}  // namespace

LineWriter::LineWriter(int fd, LineWriterOptions options) : fd_(fd), options_(std::move(options)) {
  pending_.reserve(options_.capacity.count);  // address space; pages come with use
  thread_ = std::thread([this] { run(); });
}

void LineWriter::close() {
  if (!thread_.joinable()) return;
  {
    const std::scoped_lock lock(mutex_);
    is_ending_ = true;
  }
  changed_.notify_one();
  thread_.join();
  const std::scoped_lock lock(mutex_);
  is_closed_ = true;
}

void LineWriter::add(std::string_view line) {
  bool is_worth_a_wake = false;
  {
    const std::scoped_lock lock(mutex_);
    const std::size_t before = pending_.size();
    const std::size_t after = before + line.size() + 1;
    if (is_closed_ || after > options_.capacity.count) {
      dropped_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    pending_ += line;
    pending_ += '\n';
    const std::size_t half = options_.capacity.count / 2;
    is_worth_a_wake = before == 0 || (before < half && after >= half);
  }
  if (is_worth_a_wake) changed_.notify_one();
}

void LineWriter::run() {
  std::string batch;
  batch.reserve(options_.capacity.count);
  while (take(batch)) {
    write(batch);
    if (next_telling_.has_passed()) tell_dropped();
  }
  tell_dropped();
  if (take(batch)) write(batch);  // what that has added
}

/// The lines that wait, once there are some; false at the end, when there are none left.
bool LineWriter::take(std::string& batch) {
  batch.clear();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return is_ending_ || !pending_.empty(); });
  if (options_.gather.count() > 0) {
    changed_.wait_for(lock, options_.gather,
                      [this] { return is_ending_ || pending_.size() >= options_.capacity.count / 2; });
  }
  std::swap(batch, pending_);
  return !batch.empty();
}

void LineWriter::write(std::string_view bytes) {
  while (!bytes.empty() && wait_writable()) {
    const ssize_t n = ::write(fd_, bytes.data(), std::min(bytes.size(), kPiece));
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n < 0) break;  // the reader has gone, the disk is full: the next lines may have more luck
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  dropped_.fetch_add(static_cast<std::uint64_t>(std::ranges::count(bytes, '\n')), std::memory_order_relaxed);
}

bool LineWriter::wait_writable() {
  while (!has_given_up()) {
    pollfd writable{.fd = fd_, .events = POLLOUT, .revents = 0};
    const int n = ::poll(&writable, 1, kLookUpMilliseconds);
    if (n > 0 || (n < 0 && errno != EINTR)) return true;  // what is wrong with it, write() tells
    if (next_telling_.has_passed()) tell_dropped();
  }
  return false;
}

bool LineWriter::has_given_up() {
  if (!is_ending_) return false;
  if (!end_) end_ = Deadline::after(kEndTime);
  if (!end_->has_passed()) return false;
  const std::scoped_lock lock(mutex_);
  is_closed_ = true;
  return true;
}

void LineWriter::tell_dropped() {
  const std::uint64_t dropped = dropped_.load(std::memory_order_relaxed);
  if (dropped == told_ || !options_.on_dropped) return;
  next_telling_ = Deadline::after(kTellEvery);
  options_.on_dropped(dropped - std::exchange(told_, dropped));
}

}  // namespace layover
