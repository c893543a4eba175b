// Downloading what a client that pulls an image is about to ask for: the image's configuration when its
// manifest was fetched, its layers when the same client has asked for one of them. Who only looks at an
// image, at its manifest and its configuration, makes no layer come.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/deadline.h"
#include "cache/cache.h"
#include "cache/prefetch.h"
#include "net/task.h"
#include "net/task_group.h"
#include "oci/manifest.h"
#include "proxy/exchange.h"
#include "proxy/pull_table.h"
#include "proxy/target.h"
#include "upstream/client.h"

namespace layover::proxy {

/// One loop's; lives on it. What it downloads is upstream's answer to the request that led to it: the same
/// registry, repository and credentials. It gives nobody a right to the content.
class Prefetcher {
 public:
  Prefetcher(net::Loop& loop, PullTable& pulls, upstream::Client& client, cache::LoopCache& cache)
      : loop_(loop), pulls_(pulls), client_(client), cache_(cache), downloads_(loop) {}

  /// A client is given a manifest whole.
  void note_manifest(Exchange& exchange, const Target& target, const oci::Digest& digest,
                     std::string_view bytes);
  /// A client asks for a blob, not by HEAD.
  void note_blob(Exchange& exchange, const Target& target, const oci::Digest& digest);

 private:
  /// Where a content is to come from.
  struct Origin {
    std::shared_ptr<const upstream::Registry> registry;
    cache::Scope scope;
    std::string cdn_loop;
  };

  static Origin origin_of(Exchange& exchange, const Target& target);
  bool has_blob(const cache::Scope& scope, const oci::Digest& digest) {
    return cache_.has_content(scope, digest, cache::ContentKind::kBlob);
  }
  bool is_new(const net::IpAddress& client, const cache::Scope& scope, const oci::Digest& manifest,
              Deadline::Clock::time_point now);
  net::Task<void> download_config(Origin origin, oci::Descriptor config);
  net::Task<void> download_layers(Origin origin, std::shared_ptr<Pull> pull, oci::Digest asked);
  net::Task<void> download_layer(const Origin& origin, oci::Descriptor layer, cache::DownloadSlots::Slot slot,
                                 bool& is_stopped);
  net::Task<std::optional<metrics::PrefetchResult>> download(const Origin& origin, oci::Descriptor content,
                                                             cache::DownloadSlots::Slot slot);

  net::Loop& loop_;
  PullTable& pulls_;
  upstream::Client& client_;
  cache::LoopCache& cache_;
  std::unordered_map<std::size_t, Deadline::Clock::time_point> noted_;  // by hash, until when
  net::TaskGroup downloads_;                                            // last: they use the members above
};

}  // namespace layover::proxy
