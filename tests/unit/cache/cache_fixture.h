// A cache in a directory of its own, on one loop or several, with scripted upstreams; and clients that
// read from it.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "cache/cache.h"
#include "cache/hasher.h"
#include "metrics/cells.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/manual_clock.h"
#include "tests/support/scripted_source.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/test_loop.h"

namespace layover::test {

inline constexpr std::uint64_t kToTheEnd = std::numeric_limits<std::uint64_t>::max();

/// What a client got.
struct Got {
  std::optional<metrics::CacheResult> how;  // nothing where it was refused before the first byte
  std::string bytes;
  std::string media_type;
  std::optional<Error> failure;

  bool is_whole(std::string_view wanted) const { return !failure && bytes == wanted; }
};

/// How far a client has come, for the test's thread.
struct Progress {
  std::atomic<bool> has_opened{false};
  std::atomic<std::uint64_t> received{0};
};

/// Pseudo-random bytes.
inline std::string bytes_of(std::size_t size, unsigned seed = 1) {
  std::string bytes(size, '\0');
  std::uint64_t state = seed * 0x9E3779B97F4A7C15ULL + 1;
  for (char& byte : bytes) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    byte = static_cast<char>(state >> 56);
  }
  return bytes;
}

/// Changes one bit of a file, as a disk may.
inline void flip_bit(const std::string& path, std::streamoff offset) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekg(offset);
  const char byte = static_cast<char>(file.get());
  file.seekp(offset);
  file.put(static_cast<char>(byte ^ 1));
}

inline oci::Digest digest_of(std::string_view bytes, oci::Algorithm algorithm = oci::Algorithm::kSha256) {
  return cache::digest_of(algorithm, std::as_bytes(std::span(bytes)));
}

inline constexpr std::size_t kBlobBytes = 1'000'000;

/// A content with the upstream that has it.
struct Blob {
  std::string bytes;
  oci::Digest digest;
  std::shared_ptr<ScriptedContent> content;

  explicit Blob(unsigned seed, std::size_t size = kBlobBytes)
      : bytes(bytes_of(size, seed)), digest(digest_of(bytes)), content(ScriptedContent::of(bytes)) {}
};

inline cache::Scope scope_of(std::string_view repository, std::string_view registry = "r.example") {
  return {.registry = *oci::RegistryName::parse(registry),
          .repository = *oci::RepositoryName::parse(repository)};
}

inline Error refusal(int status, ErrorCode code) {
  return Error(code, ErrorSource::kUpstream, "upstream refused")
      .with_answer({.status = status, .content_type = "text/plain", .body = "no", .retry_after = {}});
}
inline Error outage() { return {ErrorCode::kConnect, ErrorSource::kUpstream, "upstream is down"}; }

/// What `reader` gives of [begin, end), read from its file as it becomes readable.
inline net::Task<std::optional<Error>> read_range(cache::Reader& reader, ByteRange range, std::string& into,
                                                  Progress* progress) {
  while (!range.empty()) {
    auto ready = co_await reader.next(range.begin, range.end);
    if (!ready) co_return ready.error();
    if (ready->empty()) break;
    std::string piece(ready->length(), '\0');
    if (const auto bytes = reader.in_memory(); !bytes.empty()) {
      piece.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      into += piece;
      if (progress != nullptr) progress->received = into.size();
      range.begin = ready->end;
      continue;
    }
    const ssize_t n = ::pread(reader.fd(), piece.data(), piece.size(), static_cast<off_t>(ready->begin));
    if (n != static_cast<ssize_t>(piece.size())) {
      co_return Error(ErrorCode::kInternal, ErrorSource::kSelf, "the file does not hold what is readable");
    }
    into += piece;
    if (progress != nullptr) progress->received = into.size();
    range.begin = ready->end;
  }
  co_return std::nullopt;
}

/// A client's GET.
inline net::Task<Got> get(cache::LoopCache& cache, cache::ContentRequest request, ByteRange range,
                          Progress* progress, std::chrono::milliseconds patience) {
  Got got;
  auto opened = co_await cache.open(std::move(request), Deadline::after(patience));
  if (!opened) {
    got.failure = opened.error();
    co_return got;
  }
  got.how = opened->how;
  got.media_type = opened->media_type;
  if (progress != nullptr) progress->has_opened = true;
  if (opened->small) {
    const std::string& bytes = *opened->small->bytes();
    const auto size = bytes.size();
    got.bytes = bytes.substr(std::min(range.begin, size), range.end - range.begin);
    co_return got;
  }
  auto failed = co_await read_range(*opened->reader, range, got.bytes, progress);
  got.failure = std::move(failed);
  co_return got;
}

inline net::Task<Result<cache::Described>> head(cache::LoopCache& cache, cache::ContentRequest request) {
  co_return co_await cache.describe(std::move(request), Deadline::after(kPatience));
}

class CacheFixture {
 public:
  /// With limits on space, eviction runs on the first loop.
  explicit CacheFixture(unsigned loops = 1, bool complete_abandoned = true, cache::SpaceLimits space = {})
      : metrics(
            {.registries = {"r.example", "other.example"}, .loops = loops, .version = {}, .revision = {}}),
        loops_(loops),
        complete_abandoned_(complete_abandoned),
        space_(space) {
    open();
    files.ledger.start_over();  // without the directory's own files
  }
  CacheFixture(const CacheFixture&) = delete;
  CacheFixture& operator=(const CacheFixture&) = delete;
  ~CacheFixture() {
    files.release();
    close();
  }

  FaultyFileSystem files;
  ManualClock clock;
  metrics::Metrics metrics;

  const std::string& path() const { return directory_.path(); }
  cache::Cache& cache() { return *cache_; }
  cache::LoopCache& on_loop(unsigned i) { return *loop_caches_[i]; }
  LoopThread& loop(unsigned i) { return *threads_[i]; }
  unsigned loops() const { return loops_; }

  static inline const config::Times kTimes{};

  /// With the default times, but for little patience with an upstream that breaks.
  static cache::ContentRequest request(ScriptedContent& content, const oci::Digest& digest,
                                       cache::Scope scope = scope_of("a"),
                                       cache::ContentKind kind = cache::ContentKind::kBlob) {
    static const config::Times times{.first_byte_budget = std::chrono::milliseconds(200)};
    return {.scope = std::move(scope),
            .digest = digest,
            .kind = kind,
            .times = &times,
            .source = [held = content.shared_from_this()] { return held->source(); },
            .tag = std::nullopt};
  }

  std::future<Got> start_get(cache::ContentRequest request, unsigned on = 0, Progress* progress = nullptr,
                             ByteRange range = {.begin = 0, .end = kToTheEnd}) {
    return loop(on).start([this, on, range, progress, request = std::move(request)] {
      return get(on_loop(on), request, range, progress, kPatience);
    });
  }
  Got get_now(cache::ContentRequest request, unsigned on = 0) {
    return LoopThread::wait_for(start_get(std::move(request), on));
  }
  Result<cache::Described> describe_now(cache::ContentRequest request) {
    return loop(0).run([this, request = std::move(request)] { return head(on_loop(0), request); });
  }

  /// Waits until no download runs, and everything given to the index's writer is written.
  void settle() {
    if (!eventually([this] { return metrics.fills_active().value() == 0; })) {
      throw std::runtime_error("a download does not end");
    }
    // What was counted a moment ago is over once its loop takes a message.
    for (auto& thread : threads_) thread->call([] { return 0; });
    auto written = loop(0).run([this] { return cache_->writer().write({}); });
    if (!written) throw std::runtime_error(written.error().describe());
  }
  /// No partial download is left, also none that is being removed.
  bool has_no_partial_files() const {
    return eventually([this] { return entries_in(path() + "/fills") == 0; }, std::chrono::seconds(5));
  }
  bool is_stored(const oci::Digest& digest) {
    return std::filesystem::exists(cache_->directory().blob_file(digest)) && cache_->index().knows(digest);
  }
  std::optional<cache::GrantRecord> grant(const cache::Scope& scope, const oci::Digest& digest,
                                          cache::ContentKind kind = cache::ContentKind::kBlob) {
    return loop(0).call([&] { return cache_->index().snapshot(0).grant(scope, digest, kind); });
  }
  std::uint64_t fills(metrics::FillResult result) const { return metrics.fills(result).value(); }

  /// Drops all clients and downloads, as the end of the process does.
  void close() {
    for (auto& thread : threads_) thread->cancel_tasks();
    for (unsigned i = 0; i < loop_caches_.size(); ++i) loop(i).call([this, i] { loop_caches_[i].reset(); });
    loop_caches_.clear();
    threads_.clear();
    cache_.reset();
  }
  void open() {
    auto opened = cache::Cache::open(files, clock, metrics,
                                     {.path = path(),
                                      .loops = loops_,
                                      .complete_abandoned = complete_abandoned_,
                                      .space = space_,
                                      .touch_interval = std::chrono::milliseconds(5)});
    if (!opened) throw std::runtime_error(opened.error().describe());
    cache_ = std::move(*opened);
    for (unsigned i = 0; i < loops_; ++i) {
      threads_.push_back(std::make_unique<LoopThread>(i));
      loop_caches_.push_back(loop(i).call([this, i] {
        metrics::set_cell_index(i);
        return std::make_unique<cache::LoopCache>(*cache_, loop(i).loop());
      }));
    }
    if (space_.max_size.count > 0 || space_.min_free.count > 0) {
      loop(0).call([this] {
        on_loop(0).start_eviction();
        return 0;
      });
    }
  }
  void reopen() {
    close();
    open();
  }
  void reopen_with(cache::SpaceLimits space) {
    space_ = space;
    reopen();
  }

 private:
  TemporaryDirectory directory_;
  const unsigned loops_;
  const bool complete_abandoned_;
  cache::SpaceLimits space_;
  std::unique_ptr<cache::Cache> cache_;
  std::vector<std::unique_ptr<LoopThread>> threads_;
  std::vector<std::unique_ptr<cache::LoopCache>> loop_caches_;
};

}  // namespace layover::test
