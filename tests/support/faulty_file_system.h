// The system's file system with faults: any call can be made to fail, or to take its time.
#pragma once

#include <array>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file_system.h"
#include "tests/support/size_ledger.h"

namespace layover::test {

enum class Call {
  kOpen,
  kWriteAt,
  kReadAt,
  kSyncData,
  kSyncDirectory,
  kRename,
  kRemove,
  kMakeDirectories,
  kStatus,
  kList,
  kSpace,
  kSetAttribute,
  kAttribute,
};
inline constexpr std::size_t kCalls = 13;

/// A fault and its name for people.
struct FileFault {
  std::string what;
  Call call;
  unsigned skip;
  ErrorCode code;
};

/// Thread-safe.
class FaultyFileSystem final : public FileSystem {
 public:
  ~FaultyFileSystem() override { release(); }

  /// Of all that is written through this door.
  SizeLedger ledger;

  /// After `skip` more calls of that kind, one fails with `code`.
  void fail(Call call, unsigned skip, ErrorCode code) {
    const std::lock_guard lock(mutex_);
    of(call).fault = Fault{.skip = skip, .code = code};
  }
  void fail(const FileFault& fault) { fail(fault.call, fault.skip, fault.code); }
  /// From now on all of them fail.
  void fail_always(Call call, ErrorCode code) {
    const std::lock_guard lock(mutex_);
    of(call).fault = Fault{.skip = 0, .code = code, .is_lasting = true};
  }
  /// Whether the fault that was asked for has happened.
  bool has_failed(Call call) {
    const std::lock_guard lock(mutex_);
    return !of(call).fault;
  }
  void heal() {
    const std::lock_guard lock(mutex_);
    for (State& state : states_) state.fault.reset();
  }
  /// Calls of that kind wait from now on, before anything is done, until release().
  void hold(Call call) {
    const std::lock_guard lock(mutex_);
    of(call).is_held = true;
  }
  void release() {
    const std::lock_guard lock(mutex_);
    for (State& state : states_) state.is_held = false;
    released_.notify_all();
  }
  /// Calls of that kind that wait now.
  unsigned waiting(Call call) {
    const std::lock_guard lock(mutex_);
    return of(call).waiting;
  }
  /// What `space` says is free from now on is `free()`: called on the pool.
  void set_free_space(std::function<Bytes()> free) {
    const std::lock_guard lock(mutex_);
    free_space_ = std::move(free);
  }
  unsigned calls(Call call) {
    const std::lock_guard lock(mutex_);
    return of(call).calls;
  }

  Result<UniqueFd> open(const std::string& path, int flags, mode_t mode) override {
    if (auto fault = enter(Call::kOpen)) return std::unexpected(*fault);
    return system_.open(path, flags, mode);
  }
  Result<void> write_at(int fd, std::span<const std::byte> data, std::uint64_t offset) override {
    if (auto fault = enter(Call::kWriteAt)) {
      // A full disk takes a part first.
      (void)system_.write_at(fd, data.first(data.size() / 2), offset);
      ledger.wrote(fd);
      return std::unexpected(*fault);
    }
    auto written = system_.write_at(fd, data, offset);
    ledger.wrote(fd);
    return written;
  }
  Result<std::size_t> read_at(int fd, std::span<std::byte> data, std::uint64_t offset) override {
    if (auto fault = enter(Call::kReadAt)) return std::unexpected(*fault);
    return system_.read_at(fd, data, offset);
  }
  Result<void> sync_data(int fd) override {
    if (auto fault = enter(Call::kSyncData)) return std::unexpected(*fault);
    return system_.sync_data(fd);
  }
  Result<void> sync_directory(const std::string& path) override {
    if (auto fault = enter(Call::kSyncDirectory)) return std::unexpected(*fault);
    return system_.sync_directory(path);
  }
  Result<void> rename(const std::string& from, const std::string& to) override {
    if (auto fault = enter(Call::kRename)) return std::unexpected(*fault);
    return ledger.take_away(to, [&] { return system_.rename(from, to); });
  }
  Result<void> remove(const std::string& path) override {
    if (auto fault = enter(Call::kRemove)) return std::unexpected(*fault);
    return ledger.take_away(path, [&] { return system_.remove(path); });
  }
  Result<void> make_directories(const std::string& path) override {
    if (auto fault = enter(Call::kMakeDirectories)) return std::unexpected(*fault);
    return system_.make_directories(path);
  }
  Result<FileStatus> status(const std::string& path) override {
    if (auto fault = enter(Call::kStatus)) return std::unexpected(*fault);
    return system_.status(path);
  }
  Result<FileStatus> status(int fd) override {
    if (auto fault = enter(Call::kStatus)) return std::unexpected(*fault);
    return system_.status(fd);
  }
  Result<std::vector<std::string>> list(const std::string& path) override {
    if (auto fault = enter(Call::kList)) return std::unexpected(*fault);
    return system_.list(path);
  }
  Result<FileSystemSpace> space(const std::string& path) override {
    if (auto fault = enter(Call::kSpace)) return std::unexpected(*fault);
    auto space = system_.space(path);
    const std::lock_guard lock(mutex_);
    if (space && free_space_) space->available = free_space_();
    return space;
  }
  Result<void> set_attribute(int fd, const std::string& name, std::string_view value) override {
    if (auto fault = enter(Call::kSetAttribute)) return std::unexpected(*fault);
    return system_.set_attribute(fd, name, value);
  }
  Result<std::string> attribute(const std::string& path, const std::string& name) override {
    if (auto fault = enter(Call::kAttribute)) return std::unexpected(*fault);
    return system_.attribute(path, name);
  }

 private:
  struct Fault {
    unsigned skip;
    ErrorCode code;
    bool is_lasting = false;
  };
  struct State {
    std::optional<Fault> fault;
    bool is_held = false;
    unsigned waiting = 0;
    unsigned calls = 0;
  };

  State& of(Call call) { return states_[static_cast<std::size_t>(call)]; }

  std::optional<Error> enter(Call call) {
    std::unique_lock lock(mutex_);
    State& state = of(call);
    ++state.calls;
    ++state.waiting;
    released_.wait(lock, [&] { return !state.is_held; });
    --state.waiting;
    if (!state.fault || state.fault->skip-- > 0) return std::nullopt;
    const ErrorCode code = state.fault->code;
    if (state.fault->is_lasting) {
      state.fault->skip = 0;
    } else {
      state.fault.reset();
    }
    return Error(code, ErrorSource::kDisk, "a fault that the test asked for");
  }

  FileSystem& system_ = FileSystem::system();
  std::mutex mutex_;
  std::condition_variable released_;
  std::array<State, kCalls> states_;
  std::function<Bytes()> free_space_;
};

}  // namespace layover::test
