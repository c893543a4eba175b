// IndexWriter: changes of all loops become durable in the order given, in groups.
#include "cache/index_writer.h"

#include <lmdb.h>

#include <string>
#include <vector>

#include "net/offload.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/test_loop.h"

using namespace layover;
using namespace layover::cache;
using test::eventually;
using test::LoopThread;
using test::TemporaryDirectory;

namespace {

oci::Digest digest(unsigned number) {
  std::vector<std::byte> raw(32);
  for (std::size_t i = 0; i < 4; ++i) raw[i] = static_cast<std::byte>(number >> (8 * i));
  return oci::Digest::from_raw(oci::Algorithm::kSha256, raw);
}

std::vector<Change> put(unsigned number) {
  std::vector<Change> changes;
  changes.emplace_back(PutContent{
      .digest = digest(number), .kind = ContentKind::kBlob, .size = Bytes{1}, .now = {}, .origins = {}});
  return changes;
}

struct WrittenIndex {
  TemporaryDirectory directory;
  std::unique_ptr<Index> index;
  std::unique_ptr<IndexWriter> writer;
  std::vector<std::unique_ptr<LoopThread>> loops;

  explicit WrittenIndex(unsigned loop_count) {
    auto opened = Index::open(directory.path(), loop_count);
    REQUIRE(opened);
    index = std::move(*opened);
    writer = std::make_unique<IndexWriter>(*index);
    for (unsigned i = 0; i < loop_count; ++i) loops.push_back(std::make_unique<LoopThread>(i));
  }
  ~WrittenIndex() { loops.clear(); }
};

/// How often the index in `directory` was committed to.
std::size_t transactions_of(const std::string& directory) {
  MDB_env* raw = nullptr;
  mdb_env_create(&raw);
  const EnvironmentPointer environment(raw);
  REQUIRE(mdb_env_open(raw, (directory + "/index").c_str(), MDB_RDONLY, 0640) == MDB_SUCCESS);
  MDB_envinfo info{};
  mdb_env_info(raw, &info);
  return info.me_last_txnid;
}

/// Writes one after the other; each must be readable when its write has ended.
net::Task<int> write_and_look(IndexWriter& writer, Index& index, unsigned loop, unsigned first,
                              unsigned count) {
  int seen = 0;
  for (unsigned i = 0; i < count; ++i) {
    auto written = co_await writer.write(put(first + i));
    if (written && index.snapshot(loop).content(digest(first + i))) ++seen;
  }
  co_return seen;
}

net::Task<bool> write_one(IndexWriter& writer, std::vector<Change> changes) {
  auto written = co_await writer.write(std::move(changes));
  co_return written.has_value();
}

}  // namespace

TEST_CASE("a write has ended when its changes can be read, from four loops at once") {
  WrittenIndex written(4);
  std::vector<std::future<int>> results;
  for (unsigned task = 0; task < 16; ++task) {
    const unsigned loop = task % 4;
    results.push_back(written.loops[loop]->start([&written, loop, task] {
      return write_and_look(*written.writer, *written.index, loop, task * 1000, 20);
    }));
  }
  for (auto& result : results) CHECK(LoopThread::wait_for(std::move(result)) == 20);
  CHECK(written.index->totals().blobs == 320);
}

TEST_CASE("changes that are given later are written in their order, before what is given after them") {
  WrittenIndex written(1);
  written.loops[0]->call([&] {
    for (unsigned i = 0; i < 50; ++i) {
      written.writer->write_later(put(1));
      std::vector<Change> remove;
      remove.emplace_back(RemoveContent{digest(1)});
      written.writer->write_later(std::move(remove));
      written.writer->write_later(put(2 + i));
    }
    return 0;
  });
  CHECK(written.loops[0]->run([&] { return write_one(*written.writer, {}); }));
  CHECK_FALSE(written.index->knows(digest(1)));
  CHECK(written.index->totals().blobs == 50);
}

TEST_CASE("dropping the task that waits does not take its changes back") {
  WrittenIndex written(1);
  for (unsigned i = 0; i < 20; ++i) {
    (void)written.loops[0]->start([&written, i] { return write_one(*written.writer, put(i)); });
    if (i % 5 == 4) written.loops[0]->cancel_tasks();
  }
  written.loops[0]->cancel_tasks();
  CHECK(written.loops[0]->run([&] { return write_one(*written.writer, put(100)); }));
  // Those that had begun are there whole; none is there in half.
  CHECK(written.index->totals().blobs >= 1);
  CHECK(written.index->totals().blobs == written.index->totals().bytes);
}

TEST_CASE("a loop's end waits for the writes that it started") {
  WrittenIndex written(1);
  written.loops[0]->call([&] {
    for (unsigned i = 0; i < 100; ++i) written.writer->write_later(put(i));
    return 0;
  });
  written.loops.clear();
  CHECK(written.index->totals().blobs == 100);
}

TEST_CASE("writes that wait together are committed together") {
  WrittenIndex written(1);
  // Holds the index's one thread, so that the writes queue up.
  std::promise<void> hold;
  written.loops[0]->mailbox()->post([held = hold.get_future().share()] {
    net::offload_detached(net::Work::kIndex, [held] { held.wait(); });
  });
  std::vector<std::future<bool>> results;
  for (unsigned i = 0; i < 200; ++i) {
    results.push_back(written.loops[0]->start([&written, i] { return write_one(*written.writer, put(i)); }));
  }
  // The second call comes in a later turn: then all have given their changes.
  written.loops[0]->call([] { return 0; });
  written.loops[0]->call([] { return 0; });
  hold.set_value();
  for (auto& result : results) CHECK(LoopThread::wait_for(std::move(result)));
  CHECK(written.index->totals().blobs == 200);
  written.loops.clear();
  written.index.reset();
  // One transaction made the index; without groups there would be 200 more.
  CHECK(transactions_of(written.directory.path()) < 10);
}
