// The way of a request through the cache: the index, then the running downloads, then the index again,
// and only then a new download.
#include <fcntl.h>

#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "cache/cache.h"
#include "cache/eviction.h"
#include "cache/index_upkeep.h"
#include "cache/quarantine.h"
#include "cache/scrub.h"
#include "cache/sweep.h"
#include "net/offload.h"

namespace layover::cache {

namespace {

/// Rounds through index and fills before giving up: each ends with a reason to look again, such as a
/// download that was committed in between.
constexpr int kRounds = 4;

/// Between an engine's HEAD of a tag and its GET of the digest lie milliseconds.
constexpr std::chrono::minutes kPendingTime{5};
constexpr std::size_t kPendingPerContent = 16;
constexpr std::size_t kPendingSweep = 1024;
constexpr std::size_t kPendingLimit = 4096;

/// kNotFound or kCorrupt where the file is not what the index says.
Result<UniqueFd> open_file_of(const Directory& directory, const oci::Digest& digest, Bytes size) {
  const std::string path = directory.blob_file(digest);
  auto file = directory.files().open(path, O_RDONLY, 0);
  if (!file) return file;
  auto status = directory.files().status(file->get());
  if (!status) return std::unexpected(status.error());
  if (status->size == size) return file;
  return failure(
      ErrorCode::kCorrupt, ErrorSource::kDisk,
      fmt::format("{} has {} bytes where the index says {}", path, status->size.count, size.count));
}

/// Nothing where it takes the disk to say.
std::optional<UniqueFd> open_file_at_once(const Directory& directory, const oci::Digest& digest, Bytes size) {
  auto file = directory.files().open_at_once(directory.blob_file(digest));
  if (!file) return std::nullopt;
  const auto status = directory.files().status(file->get());
  return status && status->size == size ? std::move(file) : std::nullopt;
}

/// Until those who look for it do not find it any more.
net::Task<void> wait_for_end(FillState& fill, Deadline deadline) {
  for (;;) {
    const auto seen = fill.progress().version();
    if (fill.view().failure) co_return;
    auto changed = co_await fill.progress().changed(seen, deadline);
    if (!changed) co_return;
  }
}

bool is_no_longer_there(const Error& error) {
  return error.code() == ErrorCode::kNotFound || error.code() == ErrorCode::kCorrupt;
}

}  // namespace

net::Task<Result<Opened>> LoopCache::open(ContentRequest request, Deadline deadline) {
  for (int round = 0; round < kRounds; ++round) {
    auto stored = look_up(request.scope, request.digest, request.kind);
    if (round == 0 && !stored->content) {
      const bool was_there = co_await find_on_disk(request.digest);
      if (was_there) continue;
    }
    // Another registry's copy proves nothing about this one: then only its own download does.
    if (stored->content && (stored->grant || stored->has_origin)) {
      // In a later round it may have its grant since a moment ago.
      const bool is_new_here = round > 0 || !stored->grant;
      auto opened = co_await open_stored(request, std::move(stored), is_new_here, deadline);
      if (!opened && opened.error().source() == ErrorSource::kDisk) {
        co_return co_await open_uncached(request, opened.error(), deadline);
      }
      if (!opened) co_return std::unexpected(opened.error());
      if (*opened) co_return std::move(**opened);
    }
    auto opened = co_await open_fill(request, deadline);
    if (!opened && opened.error().source() == ErrorSource::kDisk) {
      co_return co_await open_uncached(request, opened.error(), deadline);
    }
    if (!opened) co_return std::unexpected(opened.error());
    if (*opened) co_return std::move(**opened);
  }
  co_return failure(ErrorCode::kInternal, ErrorSource::kSelf,
                    fmt::format("{} changes faster than it can be opened", request.digest.to_string()));
}

net::Task<Result<Described>> LoopCache::describe(ContentRequest request, Deadline deadline) {
  const auto stored = look_up(request.scope, request.digest, request.kind);
  if (stored->content && (stored->grant || stored->has_origin)) {
    auto permission = co_await permit(request, *stored, deadline);
    if (!permission) co_return std::unexpected(permission.error());
    co_return Described{.how = permission->how,
                        .media_type = std::move(permission->media_type),
                        .size = stored->content->size};
  }
  const auto fill = cache_.fills_.find({.registry = request.scope.registry, .digest = request.digest});
  if (fill && fill->is_admitted(request.scope, request.kind)) {
    const FillView view = fill->view();
    if (view.has_head && view.size && !view.failure) {
      co_return Described{
          .how = metrics::CacheResult::kJoined, .media_type = fill->media_type(), .size = view.size};
    }
  }
  const auto source = request.source();
  auto head = co_await source->confirm(Fallback::kNone, std::nullopt, deadline);
  if (!head) co_return std::unexpected(head.error());
  co_return Described{
      .how = metrics::CacheResult::kMiss, .media_type = std::move(head->content_type), .size = head->size};
}

// What the index has lost need not be downloaded again.
net::Task<bool> LoopCache::find_on_disk(const oci::Digest& digest) {
  if (!cache_.budget().is_sweeping()) co_return false;
  co_return co_await adopt_stored_file(cache_, digest);
}

std::shared_ptr<const Stored> LoopCache::look_up(const Scope& scope, const oci::Digest& digest,
                                                 ContentKind kind) {
  const std::uint64_t version = cache_.index().version();
  if (auto known = recent_.find(version, scope, digest, kind)) return known;
  const auto stored = std::make_shared<Stored>();
  {
    const Index::Snapshot index = snapshot();
    stored->content = index.content(digest);
    if (stored->content) {
      stored->grant = index.grant(scope, digest, kind);
      const auto registry = index.registry(scope.registry);
      stored->has_origin = registry && stored->content->has_origin(*registry);
      if (stored->content->size <= kSmallContent) stored->small = index.small(digest);
    }
  }
  if (stored->content) recent_.keep(version, scope, digest, kind, stored);
  return stored;
}

std::shared_ptr<const Stored> LoopCache::find_granted(const Scope& scope, const oci::Digest& digest,
                                                      ContentKind kind, const config::Times& times) {
  auto stored = look_up(scope, digest, kind);
  const bool is_granted =
      stored->content && stored->grant && is_younger(stored->grant->confirmed, times.grant_ttl);
  return is_granted ? stored : nullptr;
}

std::shared_ptr<const Stored> LoopCache::use_small(const Scope& scope, const oci::Digest& digest,
                                                   ContentKind kind, const config::Times& times) {
  auto stored = find_granted(scope, digest, kind, times);
  if (!stored || stored->bytes() == nullptr) return nullptr;
  touches_.note(digest, stored->content->used, cache_.clock().wall_now());
  return stored;
}

// Nothing where the file turns out to be missing or of another size: the entry is removed, and the
// content is downloaded again.
net::Task<Result<std::optional<Opened>>> LoopCache::open_stored(const ContentRequest& request,
                                                                std::shared_ptr<const Stored> stored,
                                                                bool is_new_here, Deadline deadline) {
  auto permission = co_await permit(request, *stored, deadline);
  if (!permission) co_return std::unexpected(permission.error());
  Opened opened{
      .how = permission->how, .media_type = std::move(permission->media_type), .small = {}, .reader = {}};
  if (is_new_here && is_first_of_prefetch(request)) opened.how = metrics::CacheResult::kMiss;
  const Bytes size = stored->content->size;
  touches_.note(request.digest, stored->content->used, cache_.clock().wall_now());
  if (request.tag) {
    std::vector<Change> changes;
    changes.emplace_back(*request.tag);
    writer().write_later(std::move(changes));
  }
  if (stored->bytes() != nullptr) {
    opened.small = std::move(stored);
    co_return std::optional(std::move(opened));
  }
  auto file = co_await open_file(request.digest, size);
  if (file) {
    opened.reader.emplace(Content{.file = std::move(*file), .size = size});
    co_return std::optional(std::move(opened));
  }
  if (!is_no_longer_there(file.error())) co_return std::unexpected(file.error());
  auto removed = co_await drop_damaged(request.digest);
  if (!removed) co_return std::unexpected(removed.error());
  co_return std::optional<Opened>();
}

net::Task<Result<std::shared_ptr<const UniqueFd>>> LoopCache::open_file(oci::Digest digest, Bytes size) {
  const std::uint64_t removals = cache_.index().removals();
  if (auto open = files_.find(digest, size, removals)) co_return open;
  auto opened = open_file_at_once(cache_.directory(), digest, size);
  if (!opened) {
    auto by_pool = co_await net::offload(net::Work::kDisk, [&directory = cache_.directory(), digest, size] {
      return open_file_of(directory, digest, size);
    });
    // Others need descriptors more.
    if (!by_pool && by_pool.error().code() == ErrorCode::kOverloaded) files_.close_all();
    if (!by_pool) co_return std::unexpected(by_pool.error());
    opened = std::move(*by_pool);
  }
  auto file = std::make_shared<const UniqueFd>(std::move(*opened));
  files_.keep(digest, file, removals);
  co_return file;
}

// Moves a stored file that is not what its entry says out of the way and forgets it; nothing where it was
// evicted or replaced since.
net::Task<Result<void>> LoopCache::drop_damaged(const oci::Digest& digest) {
  auto claimed = co_await cache_.directory().claims().claim(digest);
  // The jobs share the claim: they may outlive the task.
  const auto claim = std::make_shared<const Claim>(std::move(claimed));
  const auto entry = snapshot().content(digest);
  if (!entry) co_return Result<void>{};
  auto file = co_await net::offload(net::Work::kDisk, [&directory = cache_.directory(), claim, entry] {
    return open_file_of(directory, claim->digest(), entry->size);
  });
  if (file) co_return Result<void>{};
  if (!is_no_longer_there(file.error())) co_return std::unexpected(file.error());
  log_error("a stored blob is missing or damaged and will be downloaded again: {}", file.error().describe());
  co_return co_await put_into_quarantine(cache_, claim);
}

// Nothing where there is reason to look into the index again.
net::Task<Result<std::optional<Opened>>> LoopCache::open_fill(const ContentRequest& request,
                                                              Deadline deadline) {
  const FillKey key{.registry = request.scope.registry, .digest = request.digest};
  auto trusted = check_distrust(key);
  if (!trusted) co_return std::unexpected(trusted.error());

  auto [fill, is_new] = cache_.fills_.find_or_insert(key, [&]() -> std::shared_ptr<FillState> {
    if (look_up(request.scope, request.digest, request.kind)->has_origin)
      return nullptr;  // committed since the first look
    return std::make_shared<FillState>(key, request.scope, request.kind);
  });
  if (!fill) co_return std::optional<Opened>();
  bool was_confirmed = false;
  const bool is_first = is_new || fill->is_unasked();
  if (fill->is_unasked() && !fill->is_admitted(request.scope, request.kind)) {
    // Not its reader yet: the question upstream may need the connection that a prefetch has, which gives way.
    auto joined = co_await join(request, *fill, deadline);
    if (!joined) co_return std::unexpected(joined.error());
    if (!*joined) co_return std::optional<Opened>();
    was_confirmed = true;
  }
  if (!fill->add_reader()) {
    co_await wait_for_end(*fill, deadline);
    co_return std::optional<Opened>();
  }
  const auto hand_over = is_new ? std::make_shared<HandOver>() : nullptr;
  Reader reader(fill, cache_.metrics_.fill_readers(), own_way(request, hand_over));
  // A verified fill only waits for its commit: whoever comes now is served what is here already.
  const auto how = is_first                   ? metrics::CacheResult::kMiss
                   : fill->view().is_verified ? metrics::CacheResult::kHit
                                              : metrics::CacheResult::kJoined;
  if (is_new) {
    for (PutTag& tag : take_pending_tags(key, request.scope)) fill->record_when_stored(std::move(tag));
    fills_.spawn(run_fill(fill, request.source(), limits_of(request), hand_over, deadline));
  } else if (!fill->is_admitted(request.scope, request.kind)) {
    auto joined = co_await join(request, *fill, deadline);
    if (!joined) co_return std::unexpected(joined.error());
    if (!*joined) co_return std::optional<Opened>();
    was_confirmed = true;
  }
  if (request.tag) fill->record_when_stored(*request.tag);
  auto head = co_await reader.wait_for_head(deadline);
  if (!head) {
    // What failed for the leader's repository may work for this one: upstream has just said so.
    // And a download that its own client gave up is no failure of ours.
    const bool is_repairable = was_confirmed && head.error().code() != ErrorCode::kTimeout;
    const bool was_abandoned =
        head.error().code() == ErrorCode::kCancelled && head.error().source() == ErrorSource::kClient;
    if (is_repairable || was_abandoned) co_return std::optional<Opened>();
    co_return std::unexpected(head.error());
  }
  co_return std::optional(Opened{.how = reader.is_bypassing() ? metrics::CacheResult::kBypass : how,
                                 .media_type = fill->media_type(),
                                 .small = {},
                                 .reader = std::move(reader)});
}

OwnWay LoopCache::own_way(const ContentRequest& request, std::shared_ptr<HandOver> hand_over) {
  const FillKey key{.registry = request.scope.registry, .digest = request.digest};
  return {
      .loop = &loop_,
      .files = &cache_.directory().files(),
      .patience = limits_of(request).patience,
      .extra = &cache_.extra_streams_,
      .source = request.source,
      .hand_over = std::move(hand_over),
      .note_mismatch = [this, key](bool is_registry_to_blame) { note_mismatch(key, is_registry_to_blame); }};
}

// For this request alone, from upstream's answer to it: a fill that ends before it has begun.
net::Task<Result<Opened>> LoopCache::open_uncached(const ContentRequest& request, Error reason,
                                                   Deadline deadline) {
  const FillKey key{.registry = request.scope.registry, .digest = request.digest};
  auto trusted = check_distrust(key);
  if (!trusted) co_return std::unexpected(trusted.error());
  log_debug("{} is passed on from upstream: {}", request.digest.to_string(), reason.describe());
  auto source = request.source();
  auto stream = co_await source->open({}, deadline);
  if (!stream) co_return std::unexpected(stream.error());
  const SourceHead head = (*stream)->head();
  const auto fill = std::make_shared<FillState>(key, request.scope, request.kind);
  fill->publish_uncached(
      {.reason = std::move(reason), .in_file = {}, .hashed = 0, .hasher = Hasher(key.digest.algorithm())});
  fill->publish_head(head.size, head.content_type);
  fill->add_reader();
  auto hand_over = std::make_shared<HandOver>(std::move(source), std::move(*stream));
  co_return Opened{.how = metrics::CacheResult::kBypass,
                   .media_type = head.content_type,
                   .small = {},
                   .reader = Reader(fill, cache_.metrics_.fill_readers(), own_way(request, hand_over))};
}

bool LoopCache::holds(const Scope& scope, const oci::Digest& digest, ContentKind kind) {
  const auto stored = look_up(scope, digest, kind);
  return stored->content && stored->grant;
}

void LoopCache::remember_tag(PutTag tag) {
  const oci::Digest digest = tag.record.digest;
  if (holds(tag.scope, digest, ContentKind::kManifest)) {
    std::vector<Change> changes;
    changes.emplace_back(std::move(tag));
    writer().write_later(std::move(changes));
    return;
  }
  const FillKey key{.registry = tag.scope.registry, .digest = digest};
  const auto fill = cache_.fills_.find(key);
  if (fill && fill->is_admitted(tag.scope, ContentKind::kManifest)) {
    fill->record_when_stored(std::move(tag));
    return;
  }
  auto& pending = cache_.pending_tags_;
  if (pending.size() >= kPendingSweep) {
    pending.erase_if([](const Cache::PendingTags& tags) { return tags.until.has_passed(); });
  }
  if (pending.size() >= kPendingLimit) return;
  const auto known = pending.find(key);
  auto renewed = std::make_shared<Cache::PendingTags>(Cache::PendingTags{
      .tags = known ? known->tags : std::vector<PutTag>(), .until = Deadline::after(kPendingTime)});
  if (renewed->tags.size() < kPendingPerContent) renewed->tags.push_back(std::move(tag));
  pending.put(key, std::move(renewed));
}

void LoopCache::note_unreadable(const oci::Digest& digest) {
  if (checked_.insert(digest).second) housekeeping_.spawn(check_stored(digest));
}

net::Task<void> LoopCache::check_stored(oci::Digest digest) {
  co_await scrub_one(cache_, digest, Bytes{});
  checked_.erase(digest);
}

void LoopCache::start_sweep() {
  housekeeping_.spawn(adopt_unknown_files(cache_, DiskBudget::Sweep(cache_.budget())));
}

void LoopCache::start_scrub() { housekeeping_.spawn(scrub(cache_)); }

void LoopCache::start_index_upkeep() {
  housekeeping_.spawn(keep_index(cache_, [this] { start_sweep(); }));
}

void LoopCache::start_eviction() {
  housekeeping_.spawn(keep_within_limits(cache_, std::make_shared<SampledLastUse>(Random::system())));
  housekeeping_.spawn(drop_old_left_overs(cache_));
}

// The tags of one scope; those of others wait for those scopes' own right to the content.
std::vector<PutTag> LoopCache::take_pending_tags(const FillKey& key, const Scope& scope) {
  const auto pending = cache_.pending_tags_.find(key);
  if (!pending) return {};
  std::vector<PutTag> taken;
  auto rest = std::make_shared<Cache::PendingTags>(Cache::PendingTags{.tags = {}, .until = pending->until});
  for (const PutTag& tag : pending->tags) (tag.scope == scope ? taken : rest->tags).push_back(tag);
  if (rest->tags.empty()) {
    cache_.pending_tags_.erase(key, pending);
  } else if (!taken.empty()) {
    cache_.pending_tags_.put(key, std::move(rest));
  }
  return taken;
}

}  // namespace layover::cache
