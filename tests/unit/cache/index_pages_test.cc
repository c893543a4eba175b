// Pages of the index that LMDB believes although they are damaged: none of them costs stored content, a start
// that does not end, or more than one start.
#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "cache/meta_pages.h"
#include "tests/support/catch.h"
#include "tests/unit/cache/cache_fixture.h"

using namespace layover;
using namespace layover::test;
using namespace layover::cache;
using metrics::CacheResult;

namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kPageHeader = 16;

std::string read(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}
void write(const std::string& file, const std::string& bytes) {
  std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
}

template <typename Number>
Number number_at(const std::string& bytes, std::size_t offset) {
  Number number{};
  std::memcpy(&number, bytes.data() + offset, sizeof number);
  return number;
}
template <typename Number>
void put_number(std::string& bytes, std::size_t offset, Number number) {
  std::memcpy(bytes.data() + offset, &number, sizeof number);
}

struct MetaDamage {
  std::string what;
  std::size_t offset;  // on each of the two meta pages
  std::uint64_t set;   // bits
  std::uint64_t clear;
};

std::vector<MetaDamage> meta_damages() {
  std::vector<MetaDamage> all{
      {"pages of no bytes", kPageHeader + 24, 0, 0xFFFFFFFF},
      {"pages of 2 GiB", kPageHeader + 24, 0x80000000, 0xFFFFFFFF},
      {"pages of 4097 bytes", kPageHeader + 24, 1, 0},
      {"a root on a meta page", kPageHeader + 24 + 48 + 40, 1, ~std::uint64_t{0}},
      {"a root behind the end", kPageHeader + 24 + 48 + 40, std::uint64_t{1} << 30, ~std::uint64_t{0}},
  };
  for (const unsigned bit : {18U, 26U, 30U, 34U, 36U, 40U, 50U, 63U}) {
    all.push_back({fmt::format("a last page of 2^{}", bit), kPageHeader + 120, std::uint64_t{1} << bit, 0});
  }
  return all;
}

void damage_meta(const std::string& file, const MetaDamage& damage) {
  std::string bytes = read(file);
  for (const std::size_t page : {std::size_t{0}, kPage}) {
    const auto was = number_at<std::uint64_t>(bytes, page + damage.offset);
    put_number(bytes, page + damage.offset, (was & ~damage.clear) | damage.set);
  }
  write(file, bytes);
}

}  // namespace

TEST_CASE("a meta page that asks for what is not there costs a HEAD, and nothing that is stored") {
  for (const MetaDamage& damage : meta_damages()) {
    for (const std::string where : {"index", "small"}) {
      INFO(damage.what << " in " << where);
      CacheFixture fixture(1, true, {.max_size = 1_GiB, .min_free = {}});
      const Blob blob(1, 100'000);
      REQUIRE(fixture.get_now(CacheFixture::request(*blob.content, blob.digest)).is_whole(blob.bytes));
      fixture.settle();
      fixture.close();
      const std::string data = fmt::format("{}/{}/data.mdb", fixture.path(), where);
      const auto size = std::filesystem::file_size(data);
      damage_meta(data, damage);
      CHECK_FALSE(check_meta_pages(data));
      fixture.open();
      CHECK(std::filesystem::file_size(data) <= size);
      fixture.loop(0).call([&] {
        fixture.on_loop(0).start_sweep();
        fixture.on_loop(0).start_eviction();
        return 0;
      });
      REQUIRE(eventually([&] { return fixture.cache().index().knows(blob.digest); }));
      const Got got = fixture.get_now(CacheFixture::request(*blob.content, blob.digest));
      CHECK(got.is_whole(blob.bytes));
      CHECK(got.how == (where == "small" ? CacheResult::kHit : CacheResult::kRevalidated));
      CHECK(blob.content->opens() == 1);
    }
  }
}

TEST_CASE("meta pages that are sound, absent or no pages at all are left to LMDB") {
  CacheFixture fixture;
  const Blob blob(1, 100'000);
  REQUIRE(fixture.get_now(CacheFixture::request(*blob.content, blob.digest)).is_whole(blob.bytes));
  fixture.settle();
  CHECK(check_meta_pages(fixture.path() + "/index/data.mdb"));
  CHECK(check_meta_pages(fixture.path() + "/small/data.mdb"));
  CHECK(check_meta_pages(fixture.path() + "/none"));
  write(fixture.path() + "/garbage", std::string(100'000, 'x'));
  CHECK(check_meta_pages(fixture.path() + "/garbage"));
}

TEST_CASE("a walk over pages that lead in a circle ends") {
  const TemporaryDirectory directory;
  const std::string data = directory.path() + "/index/data.mdb";
  {
    auto index = Index::open(directory.path(), 1);
    REQUIRE(index);
    std::vector<Change> changes;
    for (unsigned i = 0; i < 20'000; ++i) {
      changes.emplace_back(PutContent{.digest = digest_of(std::to_string(i)),
                                      .kind = ContentKind::kBlob,
                                      .size = Bytes{1},
                                      .now = WallTime(std::chrono::milliseconds(1)),
                                      .origins = {}});
    }
    REQUIRE((*index)->apply(changes));
  }
  // All entries of the largest branch page lead to where its first one does.
  constexpr std::uint16_t kBranch = 1;
  std::string bytes = read(data);
  std::size_t branch = 0;
  std::size_t most = 0;
  for (std::size_t page = 2 * kPage; page + kPage <= bytes.size(); page += kPage) {
    const std::size_t entries = (number_at<std::uint16_t>(bytes, page + 12) - kPageHeader) / 2U;
    if (number_at<std::uint16_t>(bytes, page + 10) != kBranch || entries <= most) continue;
    branch = page;
    most = entries;
  }
  REQUIRE(most > 30);
  const auto entry = [&](std::size_t i) {
    return branch + number_at<std::uint16_t>(bytes, branch + kPageHeader + 2 * i);
  };
  const std::string target = bytes.substr(entry(0), 6);
  for (std::size_t i = 1; i < most; ++i) bytes.replace(entry(i), 6, target);
  write(data, bytes);

  auto index = Index::open(directory.path(), 1);
  REQUIRE(index);
  IndexWalk walk;
  Result<bool> more = true;
  for (int parts = 0; parts < 100 && more && *more; ++parts) more = (*index)->check_some(walk);
  REQUIRE_FALSE(more);
  CHECK(more.error().code() == ErrorCode::kCorrupt);
  CHECK((*index)->trouble() == IndexTrouble::kDamaged);
}
