// Who may read what: content is stored once, and given out only by a grant, a HEAD upstream, or the very
// download that is asked for.
#include <string>
#include <vector>

#include "tests/support/catch.h"
#include "tests/unit/cache/cache_fixture.h"

using namespace layover;
using namespace layover::test;
using cache::ContentKind;
using metrics::CacheResult;

namespace {

const std::string kBytes = bytes_of(150'000);
const std::string kSmall = bytes_of(500);

/// A cache in which repository "a" of r.example has the content.
struct Cached {
  CacheFixture fixture;
  std::string bytes;
  oci::Digest digest;
  std::shared_ptr<ScriptedContent> content;

  explicit Cached(std::string stored = kBytes, ContentKind kind = ContentKind::kBlob)
      : bytes(std::move(stored)), digest(digest_of(bytes)), content(ScriptedContent::of(bytes)) {
    content->set_content_type("x/first");
    REQUIRE(fixture.get_now(fixture.request(*content, digest, scope_of("a"), kind)).is_whole(bytes));
    fixture.settle();
  }
  Got get(ScriptedContent& from, const cache::Scope& scope, ContentKind kind = ContentKind::kBlob) {
    Got got = fixture.get_now(fixture.request(from, digest, scope, kind));
    fixture.settle();
    return got;
  }
};

struct Refusal {
  std::string what;
  Error error;
};

std::vector<Refusal> all_refusals() {
  return {{"404", refusal(404, ErrorCode::kNotFound)}, {"401", refusal(401, ErrorCode::kUnauthorized)},
          {"403", refusal(403, ErrorCode::kDenied)},   {"429", refusal(429, ErrorCode::kRateLimited)},
          {"500", refusal(500, ErrorCode::kStatus)},   {"an outage", outage()}};
}

net::Task<int> nothing() { co_return 0; }

}  // namespace

TEST_CASE("cached under A, refused under B: upstream's answer and not a byte") {
  for (const std::string& bytes : {kBytes, kSmall}) {
    for (const Refusal& refusal : all_refusals()) {
      INFO(refusal.what << ", " << bytes.size() << " bytes");
      Cached cached(bytes);
      auto other = ScriptedContent::of(cached.bytes);
      other->refuse_confirm(refusal.error);
      other->refuse_open(refusal.error);
      const Got got = cached.get(*other, scope_of("b"));
      REQUIRE(got.failure);
      CHECK(got.failure->code() == refusal.error.code());
      CHECK((got.failure->answer() == nullptr) == (refusal.error.answer() == nullptr));
      CHECK(got.bytes.empty());
      CHECK_FALSE(got.how);
      CHECK_FALSE(cached.fixture.grant(scope_of("b"), cached.digest));
      const auto described =
          cached.fixture.describe_now(cached.fixture.request(*other, cached.digest, scope_of("b")));
      REQUIRE_FALSE(described);
      CHECK(described.error().code() == refusal.error.code());
      // A keeps what it has.
      CHECK(cached.get(*cached.content, scope_of("a")).how == CacheResult::kHit);
    }
  }
}

TEST_CASE("allowed under B by a HEAD: served from the store, and the grant is kept") {
  Cached cached;
  auto other = ScriptedContent::of(cached.bytes);
  other->set_content_type("x/second");
  const Got got = cached.get(*other, scope_of("b"));
  CHECK(got.is_whole(cached.bytes));
  CHECK(got.how == CacheResult::kRevalidated);
  CHECK(got.media_type == "x/second");
  CHECK(other->confirms() == 1);
  CHECK(other->opens() == 0);
  REQUIRE(cached.fixture.grant(scope_of("b"), cached.digest));
  const Got again = cached.get(*other, scope_of("b"));
  CHECK(again.how == CacheResult::kHit);
  CHECK(again.media_type == "x/second");
  CHECK(other->confirms() == 1);
}

TEST_CASE("a grant survives a restart, a refusal writes none") {
  Cached cached;
  auto other = ScriptedContent::of(cached.bytes);
  CHECK(cached.get(*other, scope_of("b")).how == CacheResult::kRevalidated);
  cached.fixture.reopen();
  CHECK(cached.get(*other, scope_of("b")).how == CacheResult::kHit);
}

TEST_CASE("a HEAD that gives another size grants nothing, and takes nothing from those who have a grant") {
  // Registries that send a wrong Content-Length to a HEAD exist: one request must not cost the others
  // what is stored and verified.
  Cached cached;
  auto other = ScriptedContent::of(cached.bytes + "more");
  const Got got = cached.get(*other, scope_of("b"));
  CHECK(got.failure);
  CHECK_FALSE(cached.fixture.grant(scope_of("b"), cached.digest));
  CHECK(cached.fixture.is_stored(cached.digest));
  const Got still = cached.get(*cached.content, scope_of("a"));
  CHECK(still.is_whole(cached.bytes));
  CHECK(still.how == CacheResult::kHit);
}

TEST_CASE("another registry proves nothing by a HEAD: it must deliver the content itself") {
  Cached cached;
  const auto foreign = scope_of("a", "other.example");
  SECTION("it has it") {
    auto other = ScriptedContent::of(cached.bytes);
    const Got got = cached.get(*other, foreign);
    CHECK(got.is_whole(cached.bytes));
    CHECK(got.how == CacheResult::kMiss);
    CHECK(other->opens() == 1);
    CHECK(cached.get(*other, foreign).how == CacheResult::kHit);
    // From now on a HEAD is enough for its other repositories.
    CHECK(cached.get(*other, scope_of("b", "other.example")).how == CacheResult::kRevalidated);
  }
  SECTION("it only claims to") {
    auto other = ScriptedContent::of(std::string(cached.bytes.size(), 'x'));
    const Got got = cached.get(*other, foreign);
    CHECK(got.failure);
    CHECK_FALSE(got.bytes == cached.bytes);
    CHECK_FALSE(cached.fixture.grant(foreign, cached.digest));
    CHECK(cached.get(*other, foreign).failure);
    CHECK(cached.get(*cached.content, scope_of("a")).is_whole(cached.bytes));
  }
  SECTION("it claims by HEAD and refuses by GET") {
    auto other = ScriptedContent::of(cached.bytes);
    other->refuse_open(refusal(403, ErrorCode::kDenied));
    const Got got = cached.get(*other, foreign);
    REQUIRE(got.failure);
    CHECK(got.bytes.empty());
    CHECK_FALSE(cached.fixture.grant(foreign, cached.digest));
  }
}

TEST_CASE("as a blob is not as a manifest: each kind needs its own proof") {
  Cached cached(kSmall);
  auto manifests = ScriptedContent::of(cached.bytes);
  manifests->refuse_confirm(refusal(404, ErrorCode::kNotFound));
  CHECK(cached.get(*manifests, scope_of("a"), ContentKind::kManifest).failure);
  manifests->refuse_confirm(std::nullopt);
  CHECK(cached.get(*manifests, scope_of("a"), ContentKind::kManifest).how == CacheResult::kRevalidated);
}

TEST_CASE("after grant_ttl a grant is confirmed again, and renewed by upstream's yes") {
  Cached cached;
  cached.fixture.clock.advance(std::chrono::hours(25));
  const Got got = cached.get(*cached.content, scope_of("a"));
  CHECK(got.is_whole(cached.bytes));
  CHECK(got.how == CacheResult::kRevalidated);
  CHECK(cached.content->confirms() == 1);
  CHECK(cached.get(*cached.content, scope_of("a")).how == CacheResult::kHit);
  CHECK(cached.content->confirms() == 1);
}

TEST_CASE("upstream's no to a confirmation takes the grant away") {
  for (const int status : {404, 401, 403}) {
    INFO(status);
    Cached cached;
    cached.fixture.clock.advance(std::chrono::hours(25));
    const ErrorCode code = status == 404   ? ErrorCode::kNotFound
                           : status == 401 ? ErrorCode::kUnauthorized
                                           : ErrorCode::kDenied;
    cached.content->refuse_confirm(refusal(status, code));
    const Got got = cached.get(*cached.content, scope_of("a"));
    REQUIRE(got.failure);
    CHECK(got.failure->code() == code);
    CHECK(got.bytes.empty());
    CHECK_FALSE(cached.fixture.grant(scope_of("a"), cached.digest));
    // What then becomes an outage is still a no.
    cached.content->refuse_confirm(outage());
    CHECK(cached.get(*cached.content, scope_of("a")).failure);
    cached.content->refuse_confirm(std::nullopt);
    CHECK(cached.get(*cached.content, scope_of("a")).how == CacheResult::kRevalidated);
  }
}

TEST_CASE("in an outage an expired grant still serves, as stale, until stale_ttl") {
  Cached cached;
  cached.content->refuse_confirm(outage());
  cached.fixture.clock.advance(std::chrono::hours(25));
  const Got got = cached.get(*cached.content, scope_of("a"));
  CHECK(got.is_whole(cached.bytes));
  CHECK(got.how == CacheResult::kStale);
  CHECK(cached.fixture.grant(scope_of("a"), cached.digest));
  cached.fixture.clock.advance(std::chrono::days(31));
  const Got late = cached.get(*cached.content, scope_of("a"));
  REQUIRE(late.failure);
  CHECK(late.failure->is_outage());
}

TEST_CASE("a HEAD that upstream does not answer holds an expired grant up for confirm_timeout only") {
  Cached cached;
  cached.content->hold_confirm(true);
  cached.fixture.clock.advance(std::chrono::hours(25));
  auto request = cached.fixture.request(*cached.content, cached.digest);
  config::Times hurried;
  hurried.confirm_timeout = std::chrono::milliseconds(20);
  request.times = &hurried;
  const auto begun = Deadline::Clock::now();
  CHECK(cached.fixture.get_now(std::move(request)).how == CacheResult::kStale);
  CHECK(Deadline::Clock::now() - begun < std::chrono::seconds(10));
}

TEST_CASE("joining a running download needs upstream's yes as well") {
  CacheFixture fixture(2);
  const auto digest = digest_of(kBytes);
  auto content = ScriptedContent::of(kBytes);
  content->limit(100'000);
  Progress progress;
  auto leader = fixture.start_get(fixture.request(*content, digest), 0, &progress);
  REQUIRE(eventually([&] { return progress.received == 100'000; }));

  auto refused = ScriptedContent::of(kBytes);
  refused->refuse_confirm(refusal(403, ErrorCode::kDenied));
  const Got nothing = fixture.get_now(fixture.request(*refused, digest, scope_of("b")), 1);
  REQUIRE(nothing.failure);
  CHECK(nothing.failure->code() == ErrorCode::kDenied);
  CHECK(nothing.bytes.empty());
  CHECK_FALSE(fixture.describe_now(fixture.request(*refused, digest, scope_of("b"))));

  auto allowed = ScriptedContent::of(kBytes);
  auto joiner = fixture.start_get(fixture.request(*allowed, digest, scope_of("c")), 1);
  REQUIRE(eventually([&] { return allowed->confirms() == 1; }));
  content->limit(ScriptedContent::kNoLimit);
  const Got joined = LoopThread::wait_for(std::move(joiner));
  CHECK(joined.is_whole(kBytes));
  CHECK(joined.how != CacheResult::kMiss);
  CHECK(LoopThread::wait_for(std::move(leader)).is_whole(kBytes));
  fixture.settle();
  CHECK(allowed->opens() == 0);
  CHECK(fixture.grant(scope_of("a"), digest));
  CHECK(fixture.grant(scope_of("c"), digest));
  CHECK_FALSE(fixture.grant(scope_of("b"), digest));
}

TEST_CASE("upstream is asked once whether a repository may read, however many want to know at once") {
  CacheFixture fixture(3);
  const auto digest = digest_of(kBytes);
  auto content = ScriptedContent::of(kBytes);
  REQUIRE(fixture.get_now(fixture.request(*content, digest)).is_whole(kBytes));
  fixture.settle();
  content->hold_confirm(true);
  std::vector<std::future<Got>> clients;
  for (unsigned i = 0; i < 12; ++i) {
    auto request = fixture.request(*content, digest, scope_of("c"));
    request.times = &CacheFixture::kTimes;  // with patience
    clients.push_back(fixture.start_get(std::move(request), i % 3));
  }
  for (unsigned i = 0; i < 3; ++i) fixture.loop(i).run(nothing);  // begun after them: they wait by now
  content->hold_confirm(false);
  for (auto& client : clients) {
    const Got got = LoopThread::wait_for(std::move(client));
    CHECK(got.is_whole(kBytes));
    CHECK(got.how != CacheResult::kMiss);
  }
  CHECK(content->confirms() == 1);
}

TEST_CASE("what upstream refuses to the first is not refused to another whom it allows") {
  CacheFixture fixture(2);
  const auto digest = digest_of(kBytes);
  auto forbidden = ScriptedContent::of(kBytes);
  forbidden->hold_answer(true);
  auto first = fixture.start_get(fixture.request(*forbidden, digest, scope_of("private")), 0);
  REQUIRE(eventually([&] { return forbidden->opens() == 1; }));
  auto allowed = ScriptedContent::of(kBytes);
  auto second = fixture.start_get(fixture.request(*allowed, digest, scope_of("public")), 1);
  REQUIRE(eventually([&] { return allowed->confirms() == 1; }));
  forbidden->refuse_open(refusal(401, ErrorCode::kUnauthorized));
  forbidden->hold_answer(false);
  CHECK(LoopThread::wait_for(std::move(first)).failure);
  CHECK(LoopThread::wait_for(std::move(second)).is_whole(kBytes));
  fixture.settle();
  CHECK_FALSE(fixture.grant(scope_of("private"), digest));
  CHECK(fixture.grant(scope_of("public"), digest));
}

TEST_CASE("HEAD tells size and kind without a download") {
  CacheFixture fixture;
  const auto digest = digest_of(kBytes);
  auto content = ScriptedContent::of(kBytes);
  content->set_content_type("x/y");
  auto described = fixture.describe_now(fixture.request(*content, digest));
  REQUIRE(described);
  CHECK(described->how == CacheResult::kMiss);
  CHECK(described->size == Bytes{kBytes.size()});
  CHECK(described->media_type == "x/y");
  CHECK(content->opens() == 0);
  content->refuse_confirm(refusal(404, ErrorCode::kNotFound));
  CHECK_FALSE(fixture.describe_now(fixture.request(*content, digest)));
  CHECK(fixture.get_now(fixture.request(*content, digest)).is_whole(kBytes));
  fixture.settle();
  described = fixture.describe_now(fixture.request(*content, digest));
  REQUIRE(described);
  CHECK(described->how == CacheResult::kHit);
  CHECK(described->size == Bytes{kBytes.size()});
}

TEST_CASE("a tag is recorded once its manifest is stored, and not before") {
  CacheFixture fixture;
  const std::string bytes = bytes_of(300'000);
  const auto digest = digest_of(bytes);
  auto content = ScriptedContent::of(bytes);
  const auto tag = *oci::Tag::parse("v1");
  const auto variant = oci::AcceptVariant::unrestricted();
  const auto recorded = [&] {
    return fixture.loop(0).call(
        [&] { return fixture.cache().index().snapshot(0).tag(scope_of("a"), variant, tag); });
  };
  auto request = fixture.request(*content, digest, scope_of("a"), ContentKind::kManifest);
  request.tag = cache::PutTag{.scope = scope_of("a"),
                              .variant = variant,
                              .tag = tag,
                              .record = {.digest = digest, .confirmed = {}, .media_type = {}, .etag = {}}};
  content->limit(100'000);
  Progress progress;
  auto client = fixture.start_get(request, 0, &progress);
  REQUIRE(eventually([&] { return progress.received == 100'000; }));
  CHECK_FALSE(recorded());
  content->limit(ScriptedContent::kNoLimit);
  CHECK(LoopThread::wait_for(std::move(client)).is_whole(bytes));
  fixture.settle();
  REQUIRE(recorded());
  CHECK(recorded()->digest == digest);
}
