// All metrics of the process, by the names that users see. Counting is wait-free on the loops and never
// allocates: every series is a cell found by array index. A scrape sums the cells.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "metrics/cells.h"
#include "metrics/labels.h"

namespace layover::metrics {

/// One finished request of a client.
struct RequestRecord {
  RegistryLabel registry;
  Kind kind = Kind::kOther;
  Method method = Method::kOther;
  CacheResult cache = CacheResult::kNone;
  int code = 0;  // the status that was sent
  Bytes sent;    // of the body
  Bytes saved;   // the part of `sent` that was not fetched from upstream for this request
  std::chrono::nanoseconds duration{};  // from the request's first byte to the answer's last
  std::optional<std::chrono::nanoseconds> time_to_first_byte;  // nothing where no byte was sent
};

/// What the cache knows of itself, read at each scrape.
struct CacheFigures {
  Bytes stored;
  std::uint64_t manifests = 0;
  std::uint64_t blobs = 0;
  Bytes index;
  Bytes limit;  // on all that the cache holds; 0 where there is none, and then left out of the scrape
};

struct MetricsOptions {
  std::vector<std::string> registries;  // the configuration's names; "*" is left out
  unsigned loops = 1;                   // threads that will call set_cell_index, with 0 to loops - 1
  std::string version;
  std::string revision;
};

/// Thread-safe. Outlives the handles it gives out and everything that counts.
class Metrics {
 public:
  explicit Metrics(const MetricsOptions& options);
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  /// The label of a registry of the configuration, "other" for any other name. A look-up by name: keep
  /// the result with the registry's settings.
  RegistryLabel registry(std::string_view name) const;
  /// A registry that a reload has added. False where there are too many, and it goes on to count as "other".
  bool add_registry(std::string_view name);

  /// Counts a request in all layover_http_* families, time to first byte, sent and saved bytes.
  void count_request(const RequestRecord& record) const;

  /// An upstream request that got an answer with a status; those that did not are upstream_errors.
  Counter upstream_requests(RegistryLabel registry, Kind kind, int code) const;
  /// Bytes of bodies received.
  Counter upstream_received_bytes(RegistryLabel registry) const;
  /// From the request being started to the end of the answer's body.
  Histogram upstream_request_duration(RegistryLabel registry, Kind kind) const;
  Counter upstream_errors(RegistryLabel registry, UpstreamReason reason) const;
  /// How many more requests the registry has just said that it allows. Shown once a registry has said so.
  void note_ratelimit_remaining(RegistryLabel registry, std::uint32_t requests) const;

  Gauge fills_active() const;
  Gauge fill_readers() const;
  Counter fills(FillResult result) const;
  Counter prefetches(PrefetchResult result) const;
  Counter evicted_objects() const;
  Counter damaged_objects() const;
  Counter evicted_bytes() const;
  Counter digest_mismatches(RegistryLabel registry) const;

  Gauge connections(Side side) const;
  Counter stale_served(RegistryLabel registry) const;
  Counter client_aborts() const;
  Counter access_denied(DenialReason reason) const;

  /// True while the cache cannot store (disk full or broken) and layover only passes through.
  void set_cache_degraded(bool is_degraded);
  /// `read` is called by each `serialize`, on its thread, from then on; an empty function ends that, and
  /// returns only when no call is running. Without it the cache's figures are left out.
  void read_cache_figures_with(std::function<CacheFigures()> read);

  /// All families in Prometheus text format 0.0.4. Series of requests appear with their first request;
  /// counters that alerts look at are there, with 0, from the start. Takes some ms: reads /proc.
  std::string serialize() const;

 private:
  class Families;
  std::unique_ptr<Families> families_;
};

}  // namespace layover::metrics
