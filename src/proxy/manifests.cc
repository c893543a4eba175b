// A manifest: the tag is resolved first, then the digest is opened in the cache like any content.
#include "proxy/manifests.h"

#include <unistd.h>

#include <optional>
#include <span>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "cache/fill_run.h"
#include "net/offload.h"
#include "oci/manifest.h"
#include "oci/media_type.h"
#include "proxy/tag_resolver.h"
#include "upstream/content_source.h"

namespace layover::proxy {

namespace {

/// A manifest that was already downloaded, because upstream could only be asked for it by its tag. That
/// answer is also the proof that the repository may be read.
class MemorySource final : public cache::Source {
 public:
  MemorySource(std::string bytes, std::string media_type)
      : bytes_(std::move(bytes)), media_type_(std::move(media_type)) {}

  net::Task<Result<cache::SourceHead>> confirm(Deadline) override { co_return head(); }
  net::Task<Result<std::unique_ptr<cache::SourceStream>>> open(Deadline) override {
    std::unique_ptr<cache::SourceStream> stream = std::make_unique<Stream>(bytes_, head());
    co_return std::move(stream);
  }

 private:
  class Stream final : public cache::SourceStream {
   public:
    Stream(std::string bytes, cache::SourceHead head) : bytes_(std::move(bytes)), head_(std::move(head)) {}
    const cache::SourceHead& head() const override { return head_; }
    net::Task<Result<std::size_t>> read(std::span<std::byte> into) override {
      const std::size_t n = bytes_.copy(reinterpret_cast<char*>(into.data()), into.size(), offset_);
      offset_ += n;
      co_return n;
    }

   private:
    std::string bytes_;
    cache::SourceHead head_;
    std::size_t offset_ = 0;
  };

  cache::SourceHead head() const { return {.size = Bytes{bytes_.size()}, .content_type = media_type_}; }

  std::string bytes_;
  std::string media_type_;
};

struct Manifest {
  oci::Digest digest;
  std::string media_type;
  metrics::CacheResult how;
  std::string bytes;
};

std::shared_ptr<cache::Source> make_source(Exchange& exchange, const Target& target,
                                           const oci::Digest& digest) {
  upstream::Query query =
      make_query(exchange, target, metrics::Kind::kManifest, "manifests/" + digest.to_string());
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
  if (resolved != nullptr && resolved->bytes) {
    request.source = [source = std::make_shared<MemorySource>(std::move(*resolved->bytes),
                                                              resolved->media_type)] { return source; };
  }
  return request;
}

net::Task<Result<std::string>> read_whole(const cache::Reader& reader) {
  const Bytes size = reader.size().value_or(Bytes{});
  if (size > cache::kMaxManifest) {
    co_return failure(ErrorCode::kTooLarge, ErrorSource::kUpstream,
                      fmt::format("{} bytes are too many for a manifest", size.count));
  }
  UniqueFd own(::dup(reader.fd()));
  co_return co_await net::offload(net::Work::kDisk, [fd = std::move(own), size]() -> Result<std::string> {
    std::string bytes(size.count, '\0');
    auto n = FileSystem::system().read_at(fd.get(), std::as_writable_bytes(std::span(bytes)), 0);
    if (!n) return std::unexpected(n.error());
    if (*n != size.count)
      return failure(ErrorCode::kCorrupt, ErrorSource::kDisk, "a stored manifest is too short");
    return bytes;
  });
}

net::Task<Result<Manifest>> fetch(Exchange& exchange, cache::ContentRequest request, Deadline deadline) {
  const oci::Digest digest = request.digest;
  auto opened = co_await exchange.context().cache.open(std::move(request), deadline);
  if (!opened) co_return std::unexpected(opened.error());
  Manifest manifest{.digest = digest, .media_type = {}, .how = opened->how, .bytes = {}};
  if (opened->memory) {
    manifest.bytes = std::move(*opened->memory);
  } else {
    auto verified = co_await opened->reader->wait_until_verified(deadline);
    if (!verified) co_return std::unexpected(verified.error());
    auto bytes = co_await read_whole(*opened->reader);
    if (!bytes) co_return std::unexpected(bytes.error());
    manifest.bytes = std::move(*bytes);
  }
  manifest.media_type = oci::choose_content_type(opened->media_type, manifest.bytes);
  co_return manifest;
}

net::ResponseHead manifest_head(Exchange& exchange, const oci::Digest& digest, metrics::CacheResult how,
                                std::string_view media_type) {
  net::ResponseHead head = exchange.begin(200, how);
  head.add("Content-Type", media_type)
      .add("Docker-Content-Digest", digest.to_string())
      .add("ETag", fmt::format("\"{}\"", digest.to_string()));
  return head;
}

/// HEAD where upstream's or the index's word is enough; nothing where the manifest itself is needed.
net::Task<Result<std::optional<cache::Described>>> describe(Exchange& exchange, const Target& target,
                                                            const ResolvedTag* resolved,
                                                            const oci::Digest& digest, Deadline deadline) {
  if (resolved != nullptr && resolved->size && oci::is_manifest(resolved->media_type) && !resolved->bytes) {
    const bool is_stored =
        exchange.context().cache.holds(target.scope, digest, cache::ContentKind::kManifest);
    co_return cache::Described{
        .how = is_stored ? metrics::CacheResult::kRevalidated : metrics::CacheResult::kMiss,
        .media_type = resolved->media_type,
        .size = resolved->size};
  }
  if (resolved != nullptr) co_return std::optional<cache::Described>();
  auto described = co_await exchange.context().cache.describe(
      content_request(exchange, target, digest, nullptr), deadline);
  if (!described) co_return std::unexpected(described.error());
  if (!described->size || !oci::is_manifest(described->media_type))
    co_return std::optional<cache::Described>();
  co_return std::optional(std::move(*described));
}

void add_stale_warning(Exchange& exchange, const Target& target, net::ResponseHead& head) {
  exchange.context().shared.metrics.stale_served(target.registry->label()).add();
  head.add("Warning",
           fmt::format("299 - \"layover: stale, {} could not be asked\"", target.registry->name()));
}

}  // namespace

net::Task<void> serve_manifest(Exchange& exchange, Target target) {
  const auto deadline = Deadline::after(target.registry->settings().times.first_byte_budget);
  std::optional<ResolvedTag> resolved;
  const oci::Digest* const named = target.reference.digest();
  if (named == nullptr) {
    const auto accept = exchange.request().headers.all("accept");
    auto answer = co_await resolve_tag(exchange, target, oci::AcceptVariant::from_accept(accept), deadline);
    if (!answer) {
      co_await exchange.fail(answer.error());
      co_return;
    }
    resolved = std::move(*answer);
  }
  const oci::Digest digest = named != nullptr ? *named : resolved->digest;
  ResolvedTag* const tag = resolved ? &*resolved : nullptr;

  if (exchange.is_head()) {
    auto described = co_await describe(exchange, target, tag, digest, deadline);
    if (!described) {
      co_await exchange.fail(described.error());
      co_return;
    }
    if (*described) {
      if (tag != nullptr && tag->record) exchange.context().cache.remember_tag(std::move(*tag->record));
      net::ResponseHead head =
          manifest_head(exchange, digest, (*described)->how, oci::strip_parameters((*described)->media_type));
      head.add("Content-Length", (*described)->size->count);
      co_await exchange.send_head(std::move(head), false);
      co_return;
    }
  }
  auto manifest = co_await fetch(exchange, content_request(exchange, target, digest, tag), deadline);
  if (!manifest) {
    co_await exchange.fail(manifest.error());
    co_return;
  }
  const bool is_stale = resolved && resolved->stale_because;
  const bool is_confirmed = resolved && manifest->how == metrics::CacheResult::kHit;
  const auto how = is_stale       ? metrics::CacheResult::kStale
                   : is_confirmed ? metrics::CacheResult::kRevalidated
                                  : manifest->how;
  net::ResponseHead head = manifest_head(exchange, digest, how, manifest->media_type);
  if (how == metrics::CacheResult::kStale) add_stale_warning(exchange, target, head);
  co_await exchange.send(std::move(head), std::move(manifest->bytes));
}

}  // namespace layover::proxy
