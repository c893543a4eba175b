// A manifest: the tag is resolved first, then the digest is opened in the cache like any content.
#include "proxy/manifests.h"

#include <optional>
#include <span>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "cache/fill_run.h"
#include "net/offload.h"
#include "oci/manifest.h"
#include "oci/media_type.h"
#include "proxy/conditions.h"
#include "proxy/prefetch.h"
#include "proxy/tag_resolver.h"
#include "upstream/content_source.h"

namespace layover::proxy {

namespace {

using metrics::CacheResult;

/// A manifest that was already downloaded, because upstream could only be asked for it by its tag. That
/// answer is also the proof that the repository may be read.
class MemorySource final : public cache::Source {
 public:
  MemorySource(std::shared_ptr<const std::string> bytes, std::string media_type)
      : bytes_(std::move(bytes)), media_type_(std::move(media_type)) {}

  net::Task<Result<cache::SourceHead>> confirm(cache::Fallback, std::optional<Bytes>, Deadline) override {
    co_return head();
  }
  net::Task<Result<std::unique_ptr<cache::SourceStream>>> open(cache::SourceRange, Deadline) override {
    std::unique_ptr<cache::SourceStream> stream = std::make_unique<Stream>(bytes_, head());
    co_return std::move(stream);
  }

 private:
  class Stream final : public cache::SourceStream {
   public:
    Stream(std::shared_ptr<const std::string> bytes, cache::SourceHead head)
        : bytes_(std::move(bytes)), head_(std::move(head)) {}
    const cache::SourceHead& head() const override { return head_; }
    net::Task<Result<std::size_t>> read(std::span<std::byte> into, Deadline /*deadline*/) override {
      const std::size_t n = bytes_->copy(reinterpret_cast<char*>(into.data()), into.size(), offset_);
      offset_ += n;
      co_return n;
    }

   private:
    std::shared_ptr<const std::string> bytes_;
    cache::SourceHead head_;
    std::size_t offset_ = 0;
  };

  cache::SourceHead head() const { return {.size = Bytes{bytes_->size()}, .content_type = media_type_}; }

  std::shared_ptr<const std::string> bytes_;
  std::string media_type_;
};

/// Where its type must be read out of a larger manifest, the loop does not wait for that.
constexpr Bytes kReadHere = 64_KiB;

struct Manifest {
  oci::Digest digest;
  std::string media_type;
  metrics::CacheResult how;
  std::string bytes;
};

std::shared_ptr<cache::Source> make_source(Exchange& exchange, const Target& target,
                                           const oci::Digest& digest) {
  upstream::Query query = make_query(exchange, target.registry, target.scope, metrics::Kind::kManifest,
                                     "manifests/" + digest.to_string());
  query.accept.clear();
  for (const std::string_view value : oci::AcceptVariant::unrestricted().accept_values()) {
    query.accept.emplace_back(value);
  }
  return upstream::make_content_source(exchange.context().client, std::move(query), digest);
}

/// `exchange` and `target` outlive the request made of them.
cache::ContentRequest content_request(Exchange& exchange, const Target& target, const oci::Digest& digest,
                                      ResolvedTag* resolved) {
  cache::ContentRequest request{
      .scope = target.scope,
      .digest = digest,
      .kind = cache::ContentKind::kManifest,
      .times = &target.registry->settings().times,
      .source = [&exchange, &target, digest] { return make_source(exchange, target, digest); },
      .tag = std::nullopt};
  if (resolved != nullptr) request.tag = std::move(resolved->record);
  if (resolved != nullptr && resolved->answer.bytes) {
    request.source = [source = std::make_shared<MemorySource>(
                          resolved->answer.bytes, resolved->answer.media_type)] { return source; };
  }
  return request;
}

net::Task<Result<std::string>> read_whole(const cache::Reader& reader) {
  const Bytes size = reader.size().value_or(Bytes{});
  if (size > cache::kMaxManifest) {
    co_return failure(ErrorCode::kTooLarge, ErrorSource::kUpstream,
                      fmt::format("{} bytes are too many for a manifest", size.count));
  }
  UniqueFd own = UniqueFd::another(reader.fd());
  if (!own.is_open()) {
    co_return failure(ErrorCode::kOverloaded, ErrorSource::kDisk,
                      "there is no descriptor left to read a stored manifest with");
  }
  co_return co_await net::offload(net::Work::kDisk, [fd = std::move(own), size]() -> Result<std::string> {
    std::string bytes(size.count, '\0');
    auto n = FileSystem::system().read_at(fd.get(), std::as_writable_bytes(std::span(bytes)), 0);
    if (!n) return std::unexpected(n.error());
    if (*n != size.count)
      return failure(ErrorCode::kCorrupt, ErrorSource::kDisk, "a stored manifest is too short");
    return bytes;
  });
}

net::Task<Result<Manifest>> fetch_once(Exchange& exchange, cache::ContentRequest request, Deadline deadline) {
  const oci::Digest digest = request.digest;
  auto opened = co_await exchange.context().cache.open(std::move(request), deadline);
  if (!opened) co_return std::unexpected(opened.error());
  Manifest manifest{.digest = digest, .media_type = {}, .how = opened->how, .bytes = {}};
  if (opened->small) {
    manifest.bytes = *opened->small->bytes();
  } else {
    auto verified = co_await opened->reader->wait_until_verified(deadline);
    if (!verified) co_return std::unexpected(verified.error());
    auto held = exchange.hold_in_memory(opened->reader->size().value_or(Bytes{}));
    if (!held) co_return std::unexpected(held.error());
    if (const std::string* whole = opened->reader->whole()) {
      manifest.how = CacheResult::kBypass;
      manifest.bytes = *whole;
    } else {
      auto bytes = co_await read_whole(*opened->reader);
      if (!bytes && bytes.error().code() == ErrorCode::kIo) exchange.context().cache.note_unreadable(digest);
      if (!bytes) co_return std::unexpected(bytes.error());
      manifest.bytes = std::move(*bytes);
    }
  }
  if (Bytes{manifest.bytes.size()} <= kReadHere) {
    manifest.media_type = oci::choose_content_type(opened->media_type, manifest.bytes);
    co_return manifest;
  }
  co_return co_await net::offload(net::Work::kCompute,
                                  [manifest = std::move(manifest), told = opened->media_type]() mutable {
                                    manifest.media_type = oci::choose_content_type(told, manifest.bytes);
                                    return std::move(manifest);
                                  });
}

net::Task<Result<Manifest>> fetch(Exchange& exchange, const Target& target, cache::ContentRequest request,
                                  Deadline deadline) {
  auto fetched = co_await fetch_once(exchange, request, deadline);
  if (fetched || !is_led_elsewhere(target, fetched.error())) co_return fetched;
  co_return co_await fetch_once(exchange, std::move(request), deadline);
}

net::ResponseHead manifest_head(Exchange& exchange, const oci::Digest& digest, CacheResult how,
                                std::string_view media_type) {
  net::ResponseHead head = exchange.begin(200, how);
  if (!media_type.empty()) head.add("Content-Type", media_type);
  add_digest(head, digest);
  return head;
}

/// How an answer came about: the tag's part, if there was one, and the manifest's.
CacheResult combined(const ResolvedTag* resolved, CacheResult manifest) {
  if (resolved == nullptr) return manifest;
  if (resolved->how == CacheResult::kStale || manifest == CacheResult::kStale) return CacheResult::kStale;
  return manifest == CacheResult::kHit ? resolved->how : manifest;
}

/// Whether the tag led to what was known already, with nothing to be written down.
bool is_known_answer(const ResolvedTag* resolved) {
  return resolved == nullptr || (!resolved->record && !resolved->answer.bytes);
}

/// HEAD where upstream's or the index's word is enough; nothing where the manifest itself is needed.
net::Task<Result<std::optional<cache::Described>>> describe(Exchange& exchange, const Target& target,
                                                            const ResolvedTag* resolved,
                                                            const oci::Digest& digest, Deadline deadline) {
  cache::LoopCache& cache = exchange.context().cache;
  if (is_known_answer(resolved)) {
    // Most requests end here: nobody has to be asked.
    const auto stored = cache.find_granted(target.scope, digest, cache::ContentKind::kManifest,
                                           target.registry->settings().times);
    if (stored && oci::is_manifest(stored->grant->media_type)) {
      co_return cache::Described{.how = combined(resolved, CacheResult::kHit),
                                 .media_type = stored->grant->media_type,
                                 .size = stored->content->size};
    }
  }
  const bool is_stored = cache.holds(target.scope, digest, cache::ContentKind::kManifest);
  if (resolved != nullptr && !is_stored) {
    const TagAnswer& answer = resolved->answer;
    if (!answer.size || answer.bytes || !oci::is_manifest(answer.media_type)) {
      co_return std::optional<cache::Described>();
    }
    co_return cache::Described{
        .how = CacheResult::kMiss, .media_type = answer.media_type, .size = answer.size};
  }
  auto described = co_await cache.describe(content_request(exchange, target, digest, nullptr), deadline);
  if (!described) co_return std::unexpected(described.error());
  if (!described->size || !oci::is_manifest(described->media_type))
    co_return std::optional<cache::Described>();
  described->how = combined(resolved, described->how);
  co_return std::optional(std::move(*described));
}

/// The answer to HEAD; false where it takes the manifest itself to give one.
net::Task<Result<bool>> answer_head(Exchange& exchange, const Target& target, ResolvedTag* resolved,
                                    const oci::Digest& digest, Deadline deadline) {
  auto described = co_await describe(exchange, target, resolved, digest, deadline);
  if (!described) co_return std::unexpected(described.error());
  if (!*described) co_return false;
  if (resolved != nullptr && resolved->record) {
    exchange.context().cache.remember_tag(std::move(*resolved->record));
  }
  const cache::Described& found = **described;
  if (is_known_to_client(exchange.request(), digest)) {
    co_await send_not_modified(exchange, digest, found.how);
    co_return true;
  }
  net::ResponseHead head =
      manifest_head(exchange, digest, found.how, oci::strip_parameters(found.media_type));
  head.add("Content-Length", found.size->count);
  co_await exchange.send_head(std::move(head), false);
  co_return true;
}

/// Whole, or that the client has it.
net::Task<void> send_manifest(Exchange& exchange, const Target& target, const oci::Digest& digest,
                              CacheResult how, std::string_view media_type, std::string_view bytes) {
  if (is_known_to_client(exchange.request(), digest)) {
    co_await send_not_modified(exchange, digest, how);
    co_return;
  }
  exchange.context().prefetcher.note_manifest(exchange, target, digest, bytes);
  net::ResponseHead head = manifest_head(exchange, digest, how, media_type);
  co_await exchange.send(std::move(head), bytes);
}

/// Most requests for a manifest end here, without any task that could wait. False where it takes more.
net::Task<bool> answer_from_memory(Exchange& exchange, const Target& target, const ResolvedTag* resolved,
                                   const oci::Digest& digest) {
  if (!is_known_answer(resolved)) co_return false;
  const auto small = exchange.context().cache.use_small(target.scope, digest, cache::ContentKind::kManifest,
                                                        target.registry->settings().times);
  if (!small) co_return false;
  const std::string& bytes = *small->bytes();
  co_await send_manifest(exchange, target, digest, combined(resolved, CacheResult::kHit),
                         oci::choose_content_type(small->grant->media_type, bytes), bytes);
  co_return true;
}

net::Task<Result<void>> answer(Exchange& exchange, const Target& target, ResolvedTag* resolved,
                               const oci::Digest& digest, Deadline deadline) {
  if (exchange.is_head()) {
    auto answered = co_await answer_head(exchange, target, resolved, digest, deadline);
    if (!answered) co_return std::unexpected(answered.error());
    if (*answered) co_return Result<void>();
  }
  if (co_await answer_from_memory(exchange, target, resolved, digest)) co_return Result<void>();
  auto manifest =
      co_await fetch(exchange, target, content_request(exchange, target, digest, resolved), deadline);
  if (!manifest) co_return std::unexpected(manifest.error());
  co_await send_manifest(exchange, target, digest, combined(resolved, manifest->how), manifest->media_type,
                         manifest->bytes);
  co_return Result<void>();
}

net::Task<Result<void>> answer_tag(Exchange& exchange, const Target& target, Deadline deadline) {
  const auto variant = oci::AcceptVariant::from_accept(exchange.request().headers.all("accept"));
  for (const TagTrust trust : {TagTrust::kWithinTtl, TagTrust::kNone}) {
    auto resolved = co_await resolve_tag(exchange, target, variant, trust, deadline);
    if (!resolved) co_return std::unexpected(resolved.error());
    const oci::Digest digest = resolved->answer.digest;
    const bool was_taken_on_trust = resolved->how == CacheResult::kHit;
    auto answered = co_await answer(exchange, target, &*resolved, digest, deadline);
    // The tag has moved on and upstream has dropped what it named: then only its own word counts.
    const bool is_outdated =
        !answered && was_taken_on_trust && answered.error().code() == ErrorCode::kNotFound;
    if (!is_outdated) co_return answered;
  }
  std::unreachable();
}

}  // namespace

net::Task<void> serve_manifest(Exchange& exchange, Target target) {
  const auto deadline = Deadline::after(target.registry->settings().times.first_byte_budget);
  const oci::Digest* const named = target.reference.digest();
  auto answered = named != nullptr ? co_await answer(exchange, target, nullptr, *named, deadline)
                                   : co_await answer_tag(exchange, target, deadline);
  if (!answered) co_await exchange.fail(answered.error());
}

}  // namespace layover::proxy
