// Index: changes are durable and whole, reads are snapshots, and totals stay true.
#include "cache/index.h"

#include <lmdb.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <set>
#include <string>
#include <vector>

#include "tests/support/catch.h"
#include "tests/support/temporary_directory.h"

using namespace layover;
using namespace layover::cache;
using test::TemporaryDirectory;

namespace {

WallTime at(std::int64_t milliseconds) { return WallTime(std::chrono::milliseconds(milliseconds)); }

oci::Digest digest(unsigned char fill, oci::Algorithm algorithm = oci::Algorithm::kSha256) {
  return oci::Digest::from_raw(
      algorithm, std::vector<std::byte>(oci::raw_size(algorithm), static_cast<std::byte>(fill)));
}

oci::RegistryName registry(std::string_view name) { return *oci::RegistryName::parse(name); }
Scope scope(std::string_view repository, std::string_view name = "r.example") {
  return {.registry = registry(name), .repository = *oci::RepositoryName::parse(repository)};
}

PutContent put(unsigned char fill, std::uint64_t size, ContentKind kind = ContentKind::kBlob,
               std::vector<oci::RegistryName> origins = {registry("r.example")}) {
  return {.digest = digest(fill),
          .kind = kind,
          .size = Bytes{size},
          .now = at(10),
          .origins = std::move(origins)};
}
PutGrant grant(unsigned char fill, Scope to, std::int64_t when = 1) {
  return {.scope = std::move(to),
          .digest = digest(fill),
          .kind = ContentKind::kBlob,
          .record = {.confirmed = at(when), .media_type = "a/b"}};
}
PutTag tag(std::string_view name, unsigned char fill,
           oci::AcceptVariant variant = oci::AcceptVariant::unrestricted()) {
  return {.scope = scope("a"),
          .variant = variant,
          .tag = *oci::Tag::parse(name),
          .record = {.digest = digest(fill), .confirmed = at(1), .media_type = {}, .etag = {}}};
}

struct OpenIndex {
  TemporaryDirectory directory;
  std::unique_ptr<Index> index;

  OpenIndex() { open(); }
  void open() {
    index.reset();
    auto opened = Index::open(directory.path(), 4);
    REQUIRE(opened);
    index = std::move(*opened);
  }
  void apply(std::vector<Change> changes) { REQUIRE(index->apply(changes)); }
};

}  // namespace

TEST_CASE("content is found with all that was put, and by nobody else's digest") {
  OpenIndex open;
  open.apply({put(1, 100, ContentKind::kManifest)});
  CHECK(open.index->knows(digest(1)));
  CHECK_FALSE(open.index->knows(digest(2)));
  const auto snapshot = open.index->snapshot(0);
  const auto record = snapshot.content(digest(1));
  REQUIRE(record);
  CHECK(record->kind == ContentKind::kManifest);
  CHECK(record->size == Bytes{100});
  CHECK(record->added == at(10));
  const auto id = snapshot.registry(registry("r.example"));
  REQUIRE(id);
  CHECK(record->has_origin(*id));
  CHECK_FALSE(snapshot.content(digest(2)));
  CHECK_FALSE(snapshot.content(digest(1, oci::Algorithm::kSha512)));
}

TEST_CASE("putting content again adds its origins and keeps when it came") {
  OpenIndex open;
  open.apply({put(1, 100)});
  PutContent again = put(1, 100, ContentKind::kBlob, {registry("other.example"), registry("r.example")});
  again.now = at(99);
  open.apply({again});
  const auto snapshot = open.index->snapshot(0);
  const auto record = snapshot.content(digest(1));
  REQUIRE(record);
  CHECK(record->origins.size() == 2);
  CHECK(record->added == at(10));
  CHECK(snapshot.registry(registry("r.example")) != snapshot.registry(registry("other.example")));
}

TEST_CASE("totals follow what is put, replaced and removed, and survive") {
  OpenIndex open;
  open.apply({put(1, 100), put(2, 50, ContentKind::kManifest)});
  CHECK(open.index->totals().bytes == 150);
  CHECK(open.index->totals().blobs == 1);
  CHECK(open.index->totals().manifests == 1);
  open.apply({put(1, 70), put(1, 70), RemoveContent{digest(2)}, RemoveContent{digest(9)}});
  CHECK(open.index->totals().bytes == 70);
  CHECK(open.index->totals().blobs == 1);
  CHECK(open.index->totals().manifests == 0);
  open.open();
  CHECK(open.index->totals().bytes == 70);
  open.apply({RemoveContent{digest(1)}});
  CHECK(open.index->totals().bytes == 0);
}

TEST_CASE("a grant is for one registry, repository, digest and kind") {
  OpenIndex open;
  open.apply({grant(1, scope("a"), 5)});
  const auto snapshot = open.index->snapshot(0);
  const auto found = snapshot.grant(scope("a"), digest(1), ContentKind::kBlob);
  REQUIRE(found);
  CHECK(found->confirmed == at(5));
  CHECK(found->media_type == "a/b");
  CHECK_FALSE(snapshot.grant(scope("b"), digest(1), ContentKind::kBlob));
  CHECK_FALSE(snapshot.grant(scope("a", "other.example"), digest(1), ContentKind::kBlob));
  CHECK_FALSE(snapshot.grant(scope("a"), digest(2), ContentKind::kBlob));
  CHECK_FALSE(snapshot.grant(scope("a"), digest(1), ContentKind::kManifest));
}

TEST_CASE("a grant is renewed and removed; what is not there is removed without harm") {
  OpenIndex open;
  open.apply({grant(1, scope("a"), 5)});
  open.apply({grant(1, scope("a"), 6)});
  CHECK(open.index->snapshot(0).grant(scope("a"), digest(1), ContentKind::kBlob)->confirmed == at(6));
  const RemoveGrant remove{.scope = scope("a"), .digest = digest(1), .kind = ContentKind::kBlob};
  open.apply({remove, remove});
  CHECK_FALSE(open.index->snapshot(0).grant(scope("a"), digest(1), ContentKind::kBlob));
}

TEST_CASE("repositories of two registries with one name are two") {
  OpenIndex open;
  open.apply({grant(1, scope("a")), grant(2, scope("a", "other.example"))});
  const auto snapshot = open.index->snapshot(0);
  const auto here = snapshot.repository(scope("a"));
  const auto there = snapshot.repository(scope("a", "other.example"));
  REQUIRE(here);
  REQUIRE(there);
  CHECK(*here != *there);
}

TEST_CASE("a tag's answers are kept apart by what the client accepts") {
  OpenIndex open;
  const auto docker = oci::AcceptVariant::from_bits(4);
  open.apply({tag("v1", 1), tag("v1", 2, docker), tag("v2", 3)});
  {
    const auto snapshot = open.index->snapshot(0);
    CHECK(snapshot.tag(scope("a"), oci::AcceptVariant::unrestricted(), *oci::Tag::parse("v1"))->digest ==
          digest(1));
    CHECK(snapshot.tag(scope("a"), docker, *oci::Tag::parse("v1"))->digest == digest(2));
    CHECK_FALSE(snapshot.tag(scope("a"), docker, *oci::Tag::parse("v2")));
  }
  open.apply({RemoveTag{.scope = scope("a"), .variant = docker, .tag = *oci::Tag::parse("v1")}});
  CHECK_FALSE(open.index->snapshot(0).tag(scope("a"), docker, *oci::Tag::parse("v1")));
}

TEST_CASE("small content is kept beside the index and goes with its entry") {
  OpenIndex open;
  open.apply({put(1, 5), PutSmall{.digest = digest(1), .bytes = "hello"}, put(2, 0),
              PutSmall{.digest = digest(2), .bytes = ""}});
  CHECK(open.index->snapshot(0).small(digest(1)) == "hello");
  CHECK(open.index->snapshot(0).small(digest(2)) == "");
  open.apply({RemoveContent{digest(1)}});
  CHECK_FALSE(open.index->snapshot(0).small(digest(1)));
}

TEST_CASE("a snapshot sees nothing of what is written after it") {
  OpenIndex open;
  open.apply({put(1, 1)});
  const auto before = open.index->snapshot(0);
  const std::vector<Change> changes{put(2, 1), RemoveContent{digest(1)}};
  // As in the product: whoever holds a snapshot does nothing else with the index meanwhile.
  REQUIRE(std::async(std::launch::async, [&] { return open.index->apply(changes); }).get());
  CHECK(before.content(digest(1)));
  CHECK_FALSE(before.content(digest(2)));
  const auto after = open.index->snapshot(1);
  CHECK_FALSE(after.content(digest(1)));
  CHECK(after.content(digest(2)));
}

TEST_CASE("everything is there again after the index was closed and opened") {
  OpenIndex open;
  open.apply(
      {put(1, 5), grant(1, scope("a")), tag("v1", 1), PutSmall{.digest = digest(1), .bytes = "hello"}});
  open.open();
  const auto snapshot = open.index->snapshot(3);
  CHECK(snapshot.content(digest(1)));
  CHECK(snapshot.grant(scope("a"), digest(1), ContentKind::kBlob));
  CHECK(snapshot.tag(scope("a"), oci::AcceptVariant::unrestricted(), *oci::Tag::parse("v1")));
  CHECK(snapshot.small(digest(1)) == "hello");
  CHECK(open.index->used().count > 0);
}

TEST_CASE("losing the copy of small content costs nothing else") {
  OpenIndex open;
  open.apply({put(1, 5), PutSmall{.digest = digest(1), .bytes = "hello"}});
  open.index.reset();
  std::ofstream(open.directory.path() + "/small/data.mdb", std::ios::binary) << std::string(16'384, 'x');
  open.open();
  CHECK(open.index->snapshot(0).content(digest(1)));
  CHECK_FALSE(open.index->snapshot(0).small(digest(1)));
}

TEST_CASE("an index that is no LMDB file is damaged, and says so") {
  TemporaryDirectory directory;
  std::filesystem::create_directories(directory.path() + "/index");
  std::ofstream(directory.path() + "/index/data.mdb", std::ios::binary) << std::string(16'384, 'x');
  const auto opened = Index::open(directory.path(), 1);
  REQUIRE_FALSE(opened);
  CHECK(opened.error().code() == ErrorCode::kCorrupt);
}

/// Puts a value into the closed index's "meta", or takes it away.
void put_meta(const OpenIndex& open, std::string key, std::optional<std::string> value) {
  MDB_env* raw = nullptr;
  mdb_env_create(&raw);
  const EnvironmentPointer environment(raw);
  mdb_env_set_maxdbs(raw, 8);
  REQUIRE(mdb_env_open(raw, (open.directory.path() + "/index").c_str(), 0, 0640) == MDB_SUCCESS);
  MDB_txn* transaction = nullptr;
  REQUIRE(mdb_txn_begin(raw, nullptr, 0, &transaction) == MDB_SUCCESS);
  MDB_dbi meta = 0;
  REQUIRE(mdb_dbi_open(transaction, "meta", 0, &meta) == MDB_SUCCESS);
  MDB_val k{.mv_size = key.size(), .mv_data = key.data()};
  if (value) {
    MDB_val v{.mv_size = value->size(), .mv_data = value->data()};
    REQUIRE(mdb_put(transaction, meta, &k, &v, 0) == MDB_SUCCESS);
  } else {
    REQUIRE(mdb_del(transaction, meta, &k, nullptr) == MDB_SUCCESS);
  }
  REQUIRE(mdb_txn_commit(transaction) == MDB_SUCCESS);
}

TEST_CASE("an index of another layout, or without its counters, is not read") {
  struct Case {
    std::string key;
    std::optional<std::string> value;
  };
  const std::vector<Case> cases{{"layout", encode_number(kIndexLayout + 1)},
                                {"layout", std::nullopt},
                                {"next-id", std::nullopt},
                                {"next-id", "rubbish"},
                                {"totals", std::nullopt},
                                {"totals", "rubbish"}};
  for (const Case& one : cases) {
    INFO(one.key);
    OpenIndex open;
    open.apply({grant(1, scope("a"))});
    open.index.reset();
    put_meta(open, one.key, one.value);
    const auto opened = Index::open(open.directory.path(), 1);
    REQUIRE_FALSE(opened);
    CHECK(opened.error().code() == ErrorCode::kCorrupt);
  }
}

TEST_CASE("removing content removes its grants, and no others") {
  OpenIndex open;
  open.apply({put(1, 100), put(2, 100)});
  for (const char* repository : {"a", "b", "c"}) {
    open.apply({grant(1, scope(repository)), grant(2, scope(repository))});
  }
  open.apply({RemoveContent{digest(1)}});
  const auto snapshot = open.index->snapshot(0);
  for (const char* repository : {"a", "b", "c"}) {
    CHECK_FALSE(snapshot.grant(scope(repository), digest(1), ContentKind::kBlob));
    CHECK(snapshot.grant(scope(repository), digest(2), ContentKind::kBlob));
  }
}

TEST_CASE("a use moves content's last use forward only, and makes no content") {
  OpenIndex open;
  open.apply({put(1, 100), TouchContent{digest(1), at(50)}, TouchContent{digest(1), at(40)},
              TouchContent{digest(2), at(50)}});
  CHECK(open.index->find(digest(1))->used == at(50));
  CHECK(open.index->find(digest(1))->added == at(10));
  CHECK_FALSE(open.index->find(digest(2)));
  CHECK(open.index->totals().blobs == 1);
}

TEST_CASE("a sample of a small index is all of it, and of a large one each entry has its chance") {
  OpenIndex open;
  CHECK(open.index->sample(16, Random::system()).empty());
  std::vector<Change> changes;
  for (unsigned i = 0; i < 400; ++i) {
    std::vector<std::byte> raw(32);
    for (std::byte& byte : raw) byte = static_cast<std::byte>(Random::system().next());
    changes.emplace_back(PutContent{.digest = oci::Digest::from_raw(oci::Algorithm::kSha256, raw),
                                    .kind = ContentKind::kBlob,
                                    .size = Bytes{1},
                                    .now = at(10),
                                    .origins = {}});
  }
  changes.emplace_back(PutContent{.digest = digest(7, oci::Algorithm::kSha512),
                                  .kind = ContentKind::kBlob,
                                  .size = Bytes{1},
                                  .now = at(10),
                                  .origins = {}});
  open.apply(changes);
  CHECK(open.index->sample(401, Random::system()).size() == 401);
  std::set<oci::Digest> seen;
  for (int round = 0; round < 6000; ++round) {
    const auto drawn = open.index->sample(20, Random::system());
    CHECK(drawn.size() <= 20);
    for (const auto& entry : drawn) seen.insert(entry.digest);
  }
  // The chance of an entry is the gap below it: some gaps are tiny.
  CHECK(seen.size() > 390);
  CHECK(seen.contains(digest(7, oci::Algorithm::kSha512)));
}

TEST_CASE("the version is another one after each write, and after closing and opening") {
  OpenIndex opened;
  const auto before = opened.index->version();
  REQUIRE(opened.index->apply(std::vector<Change>{put(1, 5)}));
  const auto written = opened.index->version();
  CHECK(written != before);
  opened.index->close();
  const auto closed = opened.index->version();
  CHECK(closed != written);
  REQUIRE(opened.index->reopen());
  CHECK(opened.index->version() != closed);
}
