// Each call of the file system fails in turn: readers get the verified bytes all the same, nothing wrong is
// stored, no partial file stays, and the next request stores.
#include <atomic>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "net/connection.h"
#include "tests/support/catch.h"
#include "tests/support/socket_pair.h"
#include "tests/unit/cache/cache_fixture.h"

using namespace layover;
using namespace layover::test;
using metrics::FillResult;

namespace {

// Two descriptors are opened for a download; the bytes below come in several writes.
const std::vector<FileFault> kFaults{
    {"making the partial file", Call::kOpen, 0, ErrorCode::kIo},
    {"making the partial file on a full disk", Call::kOpen, 0, ErrorCode::kNoSpace},
    {"opening it for reading", Call::kOpen, 1, ErrorCode::kIo},
    {"the first write, full", Call::kWriteAt, 0, ErrorCode::kNoSpace},
    {"the first write, broken", Call::kWriteAt, 0, ErrorCode::kIo},
    {"a later write, full", Call::kWriteAt, 2, ErrorCode::kNoSpace},
    {"a later write, broken", Call::kWriteAt, 2, ErrorCode::kIo},
    {"syncing the data", Call::kSyncData, 0, ErrorCode::kIo},
    {"syncing the data, full", Call::kSyncData, 0, ErrorCode::kNoSpace},
    {"the rename", Call::kRename, 0, ErrorCode::kIo},
    {"syncing the directory", Call::kSyncDirectory, 0, ErrorCode::kIo},
    {"the origin's attribute", Call::kSetAttribute, 0, ErrorCode::kIo},
    {"an attribute on a file system without", Call::kSetAttribute, 0, ErrorCode::kUnsupported},
};

/// One download whose bytes come through a socket, as fast as the test sends them.
class SocketSource final : public cache::Source {
 public:
  SocketSource(UniqueFd fd, Bytes size)
      : fd_(std::move(fd)), head_{.size = size, .content_type = "application/octet-stream"} {}

  /// Reads that were begun.
  int reads() const { return reads_; }

  net::Task<Result<cache::SourceHead>> confirm(cache::Fallback, std::optional<Bytes>, Deadline) override {
    co_return head_;
  }
  net::Task<Result<std::unique_ptr<cache::SourceStream>>> open(cache::SourceRange, Deadline) override {
    std::unique_ptr<cache::SourceStream> stream = std::make_unique<Stream>(*this);
    co_return std::move(stream);
  }

 private:
  /// The source outlives it: the download holds both.
  class Stream final : public cache::SourceStream {
   public:
    explicit Stream(SocketSource& source)
        : source_(source),
          connection_(net::Socket(*net::Loop::current(), std::move(source.fd_)), ErrorSource::kUpstream) {}

    const cache::SourceHead& head() const override { return source_.head_; }
    net::Task<Result<std::size_t>> read(std::span<std::byte> into, Deadline deadline) override {
      ++source_.reads_;
      return connection_.read(into, deadline);
    }

   private:
    SocketSource& source_;
    net::Connection connection_;
  };

  UniqueFd fd_;
  cache::SourceHead head_;
  std::atomic<int> reads_{0};
};

/// Whatever is under the digest's name must be the content.
bool is_absent_or_whole(const std::string& file, const std::string& bytes) {
  if (!std::filesystem::exists(file)) return true;
  auto stored = read_file(FileSystem::system(), file, 64_MiB);
  return stored && *stored == bytes;
}

bool is_degraded(const CacheFixture& fixture) {
  return fixture.metrics.serialize().find("layover_cache_degraded 1\n") != std::string::npos;
}

}  // namespace

TEST_CASE("a fault of the disk while a blob is stored") {
  const std::string bytes = bytes_of(2'000'000);
  const auto digest = digest_of(bytes);
  for (const FileFault& fault : kFaults) {
    INFO(fault.what);
    CacheFixture fixture(2);
    auto content = ScriptedContent::of(bytes);
    content->set_piece(100'000);
    content->hold_answer(true);
    std::vector<std::future<Got>> clients;
    for (unsigned i = 0; i < 4; ++i)
      clients.push_back(fixture.start_get(fixture.request(*content, digest), i % 2));
    REQUIRE(eventually([&] { return fixture.metrics.fill_readers().value() == 4; }));
    fixture.files.fail(fault);
    content->hold_answer(false);
    for (auto& client : clients) {
      const Got got = LoopThread::wait_for(std::move(client));
      CHECK(got.is_whole(bytes));
      if (fault.call == Call::kOpen) CHECK(got.how == metrics::CacheResult::kBypass);
    }
    fixture.settle();
    CHECK(fixture.files.has_failed(fault.call));
    CHECK(fixture.has_no_partial_files());
    CHECK(is_absent_or_whole(fixture.cache().directory().blob_file(digest), bytes));
    const bool is_committed = fault.call == Call::kSetAttribute;
    CHECK(fixture.fills(FillResult::kCommitted) == (is_committed ? 1 : 0));
    CHECK(fixture.fills(FillResult::kDiskError) == (is_committed ? 0 : 1));
    CHECK(fixture.cache().index().knows(digest) == is_committed);
    CHECK(is_degraded(fixture) == !is_committed);

    const Got next = fixture.get_now(fixture.request(*content, digest));
    CHECK(next.is_whole(bytes));
    fixture.settle();
    CHECK(fixture.is_stored(digest));
    CHECK(fixture.has_no_partial_files());
    CHECK_FALSE(is_degraded(fixture));
  }
}

TEST_CASE(
    "a disk that fails ends a download at once, although its upstream is silent, and lets go of its socket") {
  const bool complete_abandoned = GENERATE(true, false);
  const ErrorCode code = GENERATE(ErrorCode::kIo, ErrorCode::kNoSpace);
  CacheFixture fixture(1, complete_abandoned);
  SocketPair sockets;
  auto source = std::make_shared<SocketSource>(sockets.take(), Bytes{2'000'000});
  const auto digest = digest_of("never seen");
  auto content = ScriptedContent::of("");
  cache::ContentRequest request = fixture.request(*content, digest);
  content->refuse_open(outage());
  request.source = [source, own = content->source(), is_first = std::make_shared<bool>(true)] {
    return std::exchange(*is_first, false) ? std::shared_ptr<cache::Source>(source) : own;
  };
  fixture.files.hold(Call::kWriteAt);
  auto client = fixture.start_get(request);
  sockets.send("begun");
  REQUIRE(eventually([&] { return fixture.files.waiting(Call::kWriteAt) == 1; }));
  REQUIRE(eventually([&] { return source->reads() == 2; }));  // the second waits for the socket
  fixture.files.fail(Call::kWriteAt, 0, code);
  fixture.files.release();

  const Got got = LoopThread::wait_for(std::move(client));
  REQUIRE(got.failure);
  CHECK(got.failure->source() == ErrorSource::kUpstream);  // the client's own stream, which is refused
  CHECK(got.bytes.empty());
  fixture.settle();
  CHECK(fixture.fills(FillResult::kDiskError) == 1);
  CHECK(fixture.has_no_partial_files());
  REQUIRE(sockets.wait(20'000));
  CHECK(sockets.received().empty());
  CHECK(sockets.has_ended());
}

TEST_CASE("a second registry's delivery that cannot be made to last takes nothing away from the first") {
  CacheFixture fixture;
  const Blob blob(1);
  CHECK(fixture.get_now(fixture.request(*blob.content, blob.digest)).is_whole(blob.bytes));
  fixture.settle();
  const auto other = fixture.request(*blob.content, blob.digest, scope_of("a", "other.example"));
  fixture.files.fail(Call::kSyncDirectory, 0, ErrorCode::kOverloaded);
  CHECK(fixture.get_now(other).is_whole(blob.bytes));
  fixture.settle();
  REQUIRE(fixture.files.has_failed(Call::kSyncDirectory));
  const Got got = fixture.get_now(fixture.request(*blob.content, blob.digest));
  CHECK(got.is_whole(blob.bytes));
  CHECK(got.how == metrics::CacheResult::kHit);
  CHECK(blob.content->opens() == 2);
  CHECK(fixture.metrics.damaged_objects().value() == 0);
}

TEST_CASE("small content that cannot be read back is served all the same and stored the next time") {
  CacheFixture fixture;
  const std::string bytes = bytes_of(500);
  const auto digest = digest_of(bytes);
  auto content = ScriptedContent::of(bytes);
  fixture.files.fail(Call::kReadAt, 0, ErrorCode::kIo);
  CHECK(fixture.get_now(fixture.request(*content, digest)).is_whole(bytes));
  fixture.settle();
  CHECK(fixture.has_no_partial_files());
  CHECK(fixture.get_now(fixture.request(*content, digest)).is_whole(bytes));
  fixture.settle();
  CHECK(fixture.is_stored(digest));
}

TEST_CASE("a stored file that cannot be opened is passed on from upstream, and not thrown away") {
  CacheFixture fixture;
  const std::string bytes = bytes_of(200'000);
  const auto digest = digest_of(bytes);
  auto content = ScriptedContent::of(bytes);
  REQUIRE(fixture.get_now(fixture.request(*content, digest)).is_whole(bytes));
  fixture.settle();
  for (const Call call : {Call::kOpen, Call::kStatus}) {
    fixture.reopen();  // and nothing is open any more
    fixture.files.fail(call, 0, ErrorCode::kIo);
    const Got got = fixture.get_now(fixture.request(*content, digest));
    CHECK(got.is_whole(bytes));
    CHECK(got.how == metrics::CacheResult::kBypass);
    CHECK(fixture.is_stored(digest));
    CHECK(fixture.get_now(fixture.request(*content, digest)).how == metrics::CacheResult::kHit);
  }
  CHECK(content->opens() == 3);
}

TEST_CASE("a partial file that cannot be removed harms nobody and goes with the next start") {
  CacheFixture fixture;
  const std::string bytes = bytes_of(200'000);
  const auto digest = digest_of(bytes);
  auto content = ScriptedContent::of(bytes);
  content->break_at(1000, outage());
  fixture.files.fail(Call::kRemove, 0, ErrorCode::kIo);
  CHECK(fixture.get_now(fixture.request(*content, digest)).failure);
  REQUIRE(eventually([&] { return fixture.files.has_failed(Call::kRemove); }));
  content->break_at(UINT64_MAX, outage());
  CHECK(fixture.get_now(fixture.request(*content, digest)).is_whole(bytes));
  fixture.settle();
  fixture.reopen();
  CHECK(entries_in(fixture.path() + "/fills") == 0);
}

TEST_CASE("a disk that hangs in a sync holds up no reader and no other download") {
  CacheFixture fixture;
  const std::string bytes = bytes_of(200'000);
  const auto digest = digest_of(bytes);
  auto content = ScriptedContent::of(bytes);
  fixture.files.hold(Call::kSyncData);
  CHECK(fixture.get_now(fixture.request(*content, digest)).is_whole(bytes));
  REQUIRE(eventually([&] { return fixture.files.waiting(Call::kSyncData) == 1; }));
  const Got again = fixture.get_now(fixture.request(*content, digest));
  CHECK(again.is_whole(bytes));
  CHECK(again.how == metrics::CacheResult::kHit);
  const std::string other = bytes_of(200'000, 2);
  auto other_content = ScriptedContent::of(other);
  CHECK(fixture.get_now(fixture.request(*other_content, digest_of(other))).is_whole(other));
  fixture.files.release();
  fixture.settle();
  CHECK(content->opens() == 1);
  CHECK(fixture.is_stored(digest));
}
