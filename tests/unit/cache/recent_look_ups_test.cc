// What is remembered of the index is never older than what was last written, and does not grow for ever.
#include "cache/recent_look_ups.h"

#include <memory>
#include <string>

#include "tests/support/catch.h"
#include "tests/unit/cache/cache_fixture.h"

using namespace layover;
using namespace layover::test;
using cache::ContentKind;
using cache::RecentLookUps;
using cache::Stored;

namespace {

std::shared_ptr<const Stored> stored(std::size_t size) {
  const auto made = std::make_shared<Stored>();
  made->content = cache::ContentRecord{.size = Bytes{size}, .added = {}, .used = {}, .origins = {}};
  made->small = std::string(size, 'x');
  return made;
}

}  // namespace

TEST_CASE("an answer of the index is remembered for one version, scope and kind") {
  RecentLookUps recent;
  const oci::Digest digest = digest_of("a");
  const auto scope = scope_of("a");
  const auto answer = stored(5);
  recent.keep(7, scope, digest, ContentKind::kBlob, answer);
  CHECK(recent.find(7, scope, digest, ContentKind::kBlob) == answer);
  CHECK(recent.find(8, scope, digest, ContentKind::kBlob) == nullptr);
  CHECK(recent.find(7, scope_of("b"), digest, ContentKind::kBlob) == nullptr);
  CHECK(recent.find(7, scope, digest, ContentKind::kManifest) == nullptr);
  CHECK(recent.find(7, scope, digest_of("b"), ContentKind::kBlob) == nullptr);
  const auto newer = stored(6);
  recent.keep(8, scope, digest, ContentKind::kBlob, newer);
  CHECK(recent.find(8, scope, digest, ContentKind::kBlob) == newer);
}

TEST_CASE("what is remembered of the index stays within its bounds") {
  RecentLookUps recent;
  const auto scope = scope_of("a");
  std::weak_ptr<const Stored> first;
  for (int i = 0; i < 600; ++i) {
    auto answer = stored(16 << 10);
    if (i == 0) first = answer;
    recent.keep(1, scope, digest_of(std::to_string(i)), ContentKind::kBlob, std::move(answer));
  }
  CHECK(first.expired());
  // The same content again and again is no more than once.
  const auto again = digest_of("again");
  std::weak_ptr<const Stored> last;
  for (std::uint64_t version = 1; version < 1000; ++version) {
    auto answer = stored(16 << 10);
    last = answer;
    recent.keep(version, scope, again, ContentKind::kBlob, std::move(answer));
  }
  CHECK(recent.find(999, scope, again, ContentKind::kBlob) == last.lock());
  CHECK(recent.find(1, scope, digest_of("599"), ContentKind::kBlob) != nullptr);
}

TEST_CASE("what is asked for again and again stays, whatever else is asked for once") {
  RecentLookUps recent;
  const auto scope = scope_of("a");
  const auto often = digest_of("often");
  const auto answer = stored(100);
  recent.keep(1, scope, often, ContentKind::kBlob, answer);
  for (int i = 0; i < 20'000; ++i) {
    recent.keep(1, scope, digest_of(std::to_string(i)), ContentKind::kBlob, stored(1000));
    if (i % 1000 == 0) REQUIRE(recent.find(1, scope, often, ContentKind::kBlob) == answer);
  }
  CHECK(recent.find(1, scope, digest_of("1"), ContentKind::kBlob) == nullptr);
}

TEST_CASE("small content whose size is not its entry's has no bytes to be served") {
  const auto made = std::make_shared<Stored>(*stored(5));
  CHECK(made->bytes() != nullptr);
  made->content->size = Bytes{6};
  CHECK(made->bytes() == nullptr);
  made->content.reset();
  CHECK(made->bytes() == nullptr);
}
