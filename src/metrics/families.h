// All families that count in cells, in groups, and their place in a scrape. Private to this folder.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include <prometheus/collectable.h>

#include "metrics/family.h"
#include "metrics/metrics.h"

namespace layover::metrics {

/// What the families' sizes depend on.
struct FamilyContext {
  unsigned loops = 1;
  Label registry;  // "other" first
};

/// What clients asked and got.
struct ClientFamilies {
  explicit ClientFamilies(const FamilyContext& context);

  Family http_requests;
  Family http_request_duration;
  Family time_to_first_byte;
  Family sent_bytes;
  Family saved_bytes;
  Family stale_served;
  Family client_aborts;
  Family access_denied;
  Family connections;
};

/// What we asked of registries and got.
struct UpstreamFamilies {
  explicit UpstreamFamilies(const FamilyContext& context);

  Family requests;
  Family received_bytes;
  Family request_duration;
  Family errors;
  Family digest_mismatches;
};

struct FillFamilies {
  explicit FillFamilies(const FamilyContext& context);

  Family active;
  Family readers;
  Family results;
  Family prefetches;
};

struct StorageFamilies {
  explicit StorageFamilies(const FamilyContext& context);

  Family evicted_objects;
  Family evicted_bytes;
  Family damaged_objects;
};

/// Thread-safe.
class Metrics::Families final : public prometheus::Collectable {
 public:
  explicit Families(const MetricsOptions& options);

  std::vector<prometheus::MetricFamily> Collect() const override;

  FamilyContext context;
  ClientFamilies client;
  UpstreamFamilies upstream;
  FillFamilies fill;
  StorageFamilies storage;
  std::atomic<bool> is_cache_degraded = false;

  void read_cache_figures_with(std::function<CacheFigures()> read);
  void note_ratelimit_remaining(std::size_t registry, std::uint32_t requests) {
    ratelimit_remaining_[registry].store(requests, std::memory_order_relaxed);
  }

 private:
  static constexpr std::int64_t kNeverSaid = -1;

  prometheus::MetricFamily collect_ratelimits() const;
  void collect_cache(std::vector<prometheus::MetricFamily>& families) const;

  prometheus::MetricFamily build_info_;
  std::vector<std::atomic<std::int64_t>> ratelimit_remaining_;  // by the registry's index
  mutable std::mutex mutex_;  // guards read_cache_figures_, and is held while it runs
  std::function<CacheFigures()> read_cache_figures_;
};

}  // namespace layover::metrics
