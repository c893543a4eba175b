// A fill that the disk ends: each of its readers has what is in the file and goes on from there by a stream
// of its own, still verified before the last bytes leave.
#include <string>
#include <vector>

#include "tests/support/catch.h"
#include "tests/unit/cache/cache_fixture.h"

using namespace layover;
using namespace layover::test;
using metrics::CacheResult;
using metrics::FillResult;

namespace {

constexpr std::size_t kPiece = 100'000;

/// A blob that comes in pieces, of which the disk takes `pieces`; the readers are there before the first.
struct Doomed {
  Doomed(CacheFixture& fixture, std::size_t size, unsigned pieces) : blob(1, size) {
    blob.content->set_piece(kPiece);
    blob.content->hold_answer(true);
    fixture.files.fail(Call::kWriteAt, pieces, ErrorCode::kNoSpace);
  }
  Blob blob;
};

std::vector<Got> finish(std::vector<std::future<Got>>& clients) {
  std::vector<Got> all;
  for (auto& client : clients) all.push_back(LoopThread::wait_for(std::move(client)));
  return all;
}

}  // namespace

TEST_CASE("20 readers of a download that the disk ends get the whole blob, from wherever it ended") {
  const unsigned pieces = GENERATE(0U, 1U, 7U, 19U);
  INFO("pieces that the disk takes: " << pieces);
  CacheFixture fixture(4);
  const Doomed doomed(fixture, 2'000'000, pieces);
  std::vector<std::future<Got>> clients;
  for (unsigned i = 0; i < 20; ++i)
    clients.push_back(fixture.start_get(fixture.request(*doomed.blob.content, doomed.blob.digest), i % 4));
  REQUIRE(eventually([&] { return fixture.metrics.fill_readers().value() == 20; }));
  doomed.blob.content->hold_answer(false);
  for (const Got& got : finish(clients)) CHECK(got.is_whole(doomed.blob.bytes));
  fixture.settle();
  CHECK(fixture.fills(FillResult::kDiskError) == 1);
  CHECK(doomed.blob.content->opens() == 21);
  // Each begins where the file ends: nothing that is in it is fetched again.
  const auto begins = doomed.blob.content->begins();
  for (std::size_t i = 1; i < begins.size(); ++i) CHECK(begins[i] == pieces * kPiece);
  CHECK(doomed.blob.content->running() == 0);
  CHECK(fixture.metrics.fill_readers().value() == 0);
  CHECK(fixture.has_no_partial_files());
}

TEST_CASE("a reader of a range of what the disk could not take gets its range") {
  CacheFixture fixture(2);
  const ByteRange range =
      GENERATE(ByteRange{.begin = 0, .end = 50'000}, ByteRange{.begin = 250'000, .end = 650'000},
               ByteRange{.begin = 800'000, .end = 900'000}, ByteRange{.begin = 800'000, .end = 1'000'000},
               ByteRange{.begin = 999'999, .end = 1'000'000});
  INFO(range.begin << "-" << range.end);
  const Doomed doomed(fixture, 1'000'000, 4);
  const auto& content = doomed.blob.content;
  auto client = fixture.start_get(fixture.request(*content, doomed.blob.digest), 1, nullptr, range);
  REQUIRE(eventually([&] { return fixture.metrics.fill_readers().value() == 1; }));
  content->hold_answer(false);
  const Got got = LoopThread::wait_for(std::move(client));
  CHECK_FALSE(got.failure);
  CHECK(got.bytes == doomed.blob.bytes.substr(range.begin, range.length()));
  fixture.settle();
  if (range.begin == 800'000) {
    // What reaches the end is verified, with the hash carried on from the file's end; what does not is
    // fetched alone.
    CHECK(content->begins().back() == (range.end == 1'000'000 ? 400'000 : 800'000));
  }
}

TEST_CASE("wrong bytes are not given whole without the disk either") {
  CacheFixture fixture;
  const bool is_size_known = GENERATE(true, false);
  Doomed doomed(fixture, 1'000'000, 4);
  doomed.blob.bytes[900'000] ^= 1;
  doomed.blob.content->set_bytes(doomed.blob.bytes);
  if (!is_size_known) doomed.blob.content->announce(std::nullopt);
  doomed.blob.content->hold_answer(false);
  const Got got = fixture.get_now(fixture.request(*doomed.blob.content, doomed.blob.digest));
  REQUIRE(got.failure);
  CHECK(got.failure->code() == ErrorCode::kDigestMismatch);
  CHECK(got.bytes.size() < doomed.blob.bytes.size());
  fixture.settle();
  const int opens = doomed.blob.content->opens();
  CHECK(fixture.get_now(fixture.request(*doomed.blob.content, doomed.blob.digest)).failure);
  CHECK(doomed.blob.content->opens() == opens);  // it is not asked again for a while
}

TEST_CASE("a stream of a reader's own is carried on where it breaks") {
  CacheFixture fixture;
  const bool are_ranges_given = GENERATE(true, false);
  Doomed doomed(fixture, 1'000'000, 4);
  doomed.blob.content->give_ranges(are_ranges_given);
  doomed.blob.content->break_once_at(700'000, outage());
  doomed.blob.content->hold_answer(false);
  const Got got = fixture.get_now(fixture.request(*doomed.blob.content, doomed.blob.digest));
  CHECK(got.is_whole(doomed.blob.bytes));
  CHECK(doomed.blob.content->opens() == 3);
  if (are_ranges_given) CHECK(doomed.blob.content->given() <= doomed.blob.bytes.size() + 4 * kPiece);
}

TEST_CASE("content of unknown size is passed on to its end") {
  CacheFixture fixture;
  const unsigned pieces = GENERATE(0U, 4U);
  const std::size_t size = GENERATE(std::size_t{1'000'000}, std::size_t{400'001});
  Doomed doomed(fixture, size, pieces);
  doomed.blob.content->announce(std::nullopt);
  doomed.blob.content->hold_answer(false);
  CHECK(
      fixture.get_now(fixture.request(*doomed.blob.content, doomed.blob.digest)).is_whole(doomed.blob.bytes));
  fixture.settle();
  CHECK(fixture.fills(FillResult::kDiskError) == 1);
}

TEST_CASE("where nothing can be stored a lone reader costs one request upstream") {
  CacheFixture fixture;
  const std::size_t size = GENERATE(std::size_t{0}, std::size_t{1}, std::size_t{500'000});
  const Blob blob(1, size);
  fixture.files.fail(Call::kOpen, 0, ErrorCode::kIo);
  const Got got = fixture.get_now(fixture.request(*blob.content, blob.digest));
  CHECK(got.is_whole(blob.bytes));
  CHECK(got.how == CacheResult::kBypass);
  fixture.settle();
  CHECK(blob.content->opens() == 1);
  CHECK(blob.content->running() == 0);
}

TEST_CASE("a blob over max_object is passed on, which is no fault of the disk") {
  CacheFixture fixture(1, true,
                       {.max_size = Bytes{8'000'000}, .min_free = {}, .max_object = Bytes{1'000'000}});
  const Blob large(1, 1'000'001);
  const Blob fitting(2, 1'000'000);
  const bool is_size_known = GENERATE(true, false);
  if (!is_size_known) large.content->announce(std::nullopt);
  const Got got = fixture.get_now(fixture.request(*large.content, large.digest));
  CHECK(got.is_whole(large.bytes));
  if (is_size_known) CHECK(got.how == CacheResult::kBypass);
  CHECK(fixture.get_now(fixture.request(*fitting.content, fitting.digest)).is_whole(fitting.bytes));
  fixture.settle();
  CHECK(fixture.fills(FillResult::kAbandoned) == 1);
  CHECK(fixture.fills(FillResult::kDiskError) == 0);
  CHECK_FALSE(fixture.is_stored(large.digest));
  CHECK(fixture.is_stored(fitting.digest));
  CHECK(fixture.metrics.serialize().find("layover_cache_degraded 0\n") != std::string::npos);
}

TEST_CASE("each reader goes on by its own right: one that upstream refuses by now gets no more") {
  CacheFixture fixture;
  const Doomed doomed(fixture, 1'000'000, 4);
  auto refused = ScriptedContent::of(doomed.blob.bytes);
  refused->refuse_open(refusal(403, ErrorCode::kDenied));
  std::vector<std::future<Got>> clients;
  clients.push_back(fixture.start_get(fixture.request(*doomed.blob.content, doomed.blob.digest)));
  REQUIRE(eventually([&] { return doomed.blob.content->opens() == 1; }));
  clients.push_back(fixture.start_get(fixture.request(*refused, doomed.blob.digest, scope_of("b"))));
  REQUIRE(
      eventually([&] { return refused->confirms() == 1 && fixture.metrics.fill_readers().value() == 2; }));
  doomed.blob.content->hold_answer(false);
  const auto all = finish(clients);
  CHECK(all[0].is_whole(doomed.blob.bytes));
  CHECK(all[1].failure);
  CHECK(all[1].bytes.size() <= 4 * kPiece);
}

TEST_CASE("a client that does not read stops its own stream, and what waits in memory for it is bounded") {
  CacheFixture fixture;
  const Blob blob(1, 20'000'000);
  fixture.files.fail(Call::kOpen, 0, ErrorCode::kNoSpace);
  struct Stopped {
    std::optional<cache::Opened> opened;
    std::uint64_t got = 0;
  };
  const auto stopped = std::make_shared<Stopped>();
  auto begun = fixture.loop(0).start(
      [&fixture, stopped, request = fixture.request(*blob.content, blob.digest)]() -> net::Task<bool> {
        return [](cache::LoopCache& cache, cache::ContentRequest wanted, Stopped& out) -> net::Task<bool> {
          auto opened = co_await cache.open(std::move(wanted), Deadline::after(kPatience));
          if (!opened) co_return false;
          out.opened.emplace(std::move(*opened));
          auto first = co_await out.opened->reader->next(0, kToTheEnd);
          if (first) out.got = first->length();
          co_return first.has_value();
        }(fixture.on_loop(0), request, *stopped);
      });
  CHECK(LoopThread::wait_for(std::move(begun)));
  fixture.settle();
  const Got other = fixture.get_now(fixture.request(*blob.content, blob.digest));
  CHECK(other.is_whole(blob.bytes));
  CHECK(stopped->got > 0);
  // The stopped one has no more than its few chunks; the other has been given all, once.
  CHECK(blob.content->given() <= 20'000'000 + 5 * cache::Chunk::kCapacity);
  fixture.loop(0).call([stopped] {
    stopped->opened.reset();
    return 0;
  });
  REQUIRE(eventually([&] { return blob.content->running() == 0; }));
}
