// A manifest that was looked through lately is not looked through again for the same client: requests for
// what is here in whole, or will never be, cost one look into a table.
#include "proxy/prefetch.h"

#include <utility>
#include <vector>

#include "base/bytes.h"
#include "net/range.h"
#include "net/wait.h"
#include "upstream/content_source.h"

namespace layover::proxy {

namespace {

/// A larger one is no usual image, and would hold up the loop.
constexpr std::size_t kLargestManifest = std::size_t{256} << 10;
constexpr std::size_t kMostNoted = 4096;
/// Shorter than a pull is kept: one whose client comes again is noted anew in time.
constexpr std::chrono::seconds kNotedFor = PullTable::kKept / 2;
/// Engines ask for several layers at once: those are their own downloads.
constexpr std::chrono::milliseconds kHeadStart{100};

bool is_wanted(const Exchange& exchange, const Target& target) {
  return exchange.configuration().settings->cache.prefetch && target.registry->settings().prefetch;
}

/// Layers that registries do not have, as a rule.
bool is_foreign(const oci::Descriptor& layer) {
  return layer.media_type.find("foreign") != std::string::npos ||
         layer.media_type.find("nondistributable") != std::string::npos;
}

/// Who reads an image lazily asks for pieces of its layers, and may never want the rest.
bool is_for_rest(const net::HttpRequest& request) {
  const auto header = request.headers.get("range");
  if (!header) return true;
  const net::RangeRequest ranges = net::parse_range(*header);
  return ranges.empty() || (ranges.size() == 1 && !ranges.front().end && !ranges.front().suffix_length);
}

}  // namespace

Prefetcher::Origin Prefetcher::origin_of(Exchange& exchange, const Target& target) {
  return {.registry = target.registry, .scope = target.scope, .cdn_loop = hops_with_us(exchange)};
}

// By a hash: a collision costs a prefetch, and a hit must not cost copies of names.
bool Prefetcher::is_new(const net::IpAddress& client, const cache::Scope& scope, const oci::Digest& manifest,
                        Deadline::Clock::time_point now) {
  if (noted_.size() >= kMostNoted) noted_.clear();
  auto& until = noted_[PullTable::hash_of(client, scope, manifest)];
  if (now < until) return false;
  until = now + kNotedFor;
  return true;
}

void Prefetcher::note_manifest(Exchange& exchange, const Target& target, const oci::Digest& digest,
                               std::string_view bytes) {
  if (exchange.is_head() || !exchange.client() || bytes.size() > kLargestManifest) return;
  if (!is_wanted(exchange, target)) return;
  if (!is_new(*exchange.client(), target.scope, digest, exchange.started())) return;
  auto manifest = oci::read_manifest(bytes);
  if (!manifest) return;
  std::vector<oci::Descriptor> layers;
  bool is_whole = true;
  for (oci::Descriptor& child : manifest->children) {
    if (child.role == oci::ChildRole::kManifest || is_foreign(child)) continue;
    const bool is_here = has_blob(target.scope, child.digest);
    if (child.role == oci::ChildRole::kLayer) {
      is_whole &= is_here;
      layers.push_back(std::move(child));
    } else if (!is_here) {
      downloads_.spawn(download_config(origin_of(exchange, target), child));
    }
  }
  if (is_whole) return;
  pulls_.note(*exchange.client(), target.scope, std::make_shared<Pull>(std::move(layers)));
}

void Prefetcher::note_blob(Exchange& exchange, const Target& target, const oci::Digest& digest) {
  if (!exchange.client() || !is_for_rest(exchange.request())) return;
  const auto pull = pulls_.begin(*exchange.client(), target.scope, digest, exchange.started());
  if (!pull) return;
  downloads_.spawn(download_layers(origin_of(exchange, target), pull, digest));
}

net::Task<void> Prefetcher::download_config(Origin origin, oci::Descriptor config) {
  auto slot = co_await cache_.prefetch_slots().take(Deadline::after(cache::Prefetch::kPatience));
  if (slot) co_await download(origin, config, std::move(*slot));
}

// In the manifest's order, which is the order in which engines ask. Where one of them is stopped, the client
// has given up, or has enough to do with what it has, or others need the means.
net::Task<void> Prefetcher::download_layers(Origin origin, std::shared_ptr<Pull> pull, oci::Digest asked) {
  co_await net::sleep_until(Deadline::after(kHeadStart));
  const std::uint64_t limit = cache_.max_object().count;
  std::uint64_t total = 0;
  bool is_stopped = false;
  net::TaskGroup running(loop_);
  for (const oci::Descriptor& layer : pull->layers()) {
    if (layer.digest == asked || has_blob(origin.scope, layer.digest)) continue;
    if (limit > 0 && layer.size.count > limit - total) continue;
    auto slot = co_await cache_.prefetch_slots().take(Deadline::after(cache::Prefetch::kPatience));
    if (!slot || is_stopped) break;
    total += layer.size.count;
    running.spawn(download_layer(origin, layer, std::move(*slot), is_stopped));
  }
  co_await running.drained(Deadline::never());
}

net::Task<void> Prefetcher::download_layer(const Origin& origin, oci::Descriptor layer,
                                           cache::DownloadSlots::Slot slot, bool& is_stopped) {
  const auto result = co_await download(origin, layer, std::move(slot));
  is_stopped |= result == metrics::PrefetchResult::kStopped;
}

net::Task<std::optional<metrics::PrefetchResult>> Prefetcher::download(const Origin& origin,
                                                                       oci::Descriptor content,
                                                                       cache::DownloadSlots::Slot slot) {
  const auto prefetch = std::make_shared<cache::Prefetch>(content.size, std::move(slot));
  cache::ContentRequest request{.scope = origin.scope,
                                .digest = content.digest,
                                .kind = cache::ContentKind::kBlob,
                                .times = &origin.registry->settings().times,
                                .streams = origin.registry->streams(),
                                .source =
                                    [&] {
                                      upstream::Query query{.registry = origin.registry,
                                                            .repository = origin.scope.repository,
                                                            .path = "blobs/" + content.digest.to_string(),
                                                            .kind = metrics::Kind::kBlob,
                                                            .accept = {"*/*"},
                                                            .range = {},
                                                            .has_fallback = true,
                                                            .prefetch = prefetch,
                                                            .cdn_loop = origin.cdn_loop};
                                      return upstream::make_content_source(client_, std::move(query),
                                                                           content.digest);
                                    },
                                .tag = std::nullopt};
  co_return co_await cache_.download_ahead(std::move(request), prefetch);
}

}  // namespace layover::proxy
