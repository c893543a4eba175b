// The families' names, helps, labels and buckets, and the scrape.
#include "metrics/families.h"

#include <algorithm>
#include <utility>

#include "metrics/process.h"

namespace layover::metrics {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

// Seconds; 1 ms to 300 s for whole requests, 0.1 ms to 30 s for first bytes.
constexpr double kDurationBounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                                      1,     2.5,    5,     10,   30,    60,   120, 300};
constexpr double kFirstByteBounds[] = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                       0.1,    0.25,    0.5,    1,     2.5,    5,     10,   30};

// For reloads. Cells that are not used cost address space only.
constexpr std::size_t kSpareRegistries = 64;

// The label of `count` values, whose texts `text_of` gives by their index.
template <typename TextOf>
Label label(std::string name, std::size_t count, TextOf text_of) {
  std::vector<std::string> values;
  values.reserve(count);
  for (std::size_t i = 0; i < count; ++i) values.emplace_back(text_of(i));
  return {std::move(name), std::make_shared<LabelValues>(std::move(values))};
}

// The label whose values are those of an enumeration of `count` values.
template <typename Value>
Label label(std::string name, std::size_t count) {
  return label(std::move(name), count, [](std::size_t i) { return to_string(static_cast<Value>(i)); });
}

Label kind() { return label<Kind>("kind", kKinds); }
Label cache() { return label<CacheResult>("cache", kCacheResults); }

Label code() { return label("code", kStatusCodes, status_code_label); }

// "other" first, so that a default RegistryLabel means it.
Label registry_label(const std::vector<std::string>& names) {
  std::vector<std::string> values{"other"};
  for (const std::string& name : names) {
    const bool is_known = std::ranges::find(values, name) != values.end();
    if (name != "*" && !is_known) values.push_back(name);
  }
  return {"registry", std::make_shared<LabelValues>(std::move(values), kSpareRegistries)};
}

Family counter(const FamilyContext& context, std::string name, std::string help,
               std::vector<Label> labels = {}, Show show = Show::kFromStart) {
  return {context.loops,
          {MetricType::Counter, std::move(name), std::move(help), std::move(labels), show, {}}};
}

Family gauge(const FamilyContext& context, std::string name, std::string help,
             std::vector<Label> labels = {}) {
  return {context.loops,
          {MetricType::Gauge, std::move(name), std::move(help), std::move(labels), Show::kFromStart, {}}};
}

Family histogram(const FamilyContext& context, std::string name, std::string help, std::vector<Label> labels,
                 std::span<const double> bounds) {
  return {
      context.loops,
      {MetricType::Histogram, std::move(name), std::move(help), std::move(labels), Show::kOnceUsed, bounds}};
}

MetricFamily make_build_info(const MetricsOptions& options) {
  MetricFamily info =
      single_value(MetricType::Gauge, "layover_build_info", "Always 1; the labels tell what is running.", 1);
  info.metric.front().label = {{"version", options.version}, {"revision", options.revision}};
  return info;
}

void collect_process(std::vector<MetricFamily>& families) {
  const ProcessFigures process = read_process_figures();
  const auto add = [&](MetricType type, std::string name, std::string help, double value) {
    families.push_back(single_value(type, std::move(name), std::move(help), value));
  };
  add(MetricType::Counter, "process_cpu_seconds_total", "User and system CPU time spent.",
      process.cpu_seconds);
  add(MetricType::Gauge, "process_resident_memory_bytes", "Resident memory, pages of mapped files included.",
      static_cast<double>(process.resident_memory.count));
  add(MetricType::Gauge, "process_open_fds", "Open file descriptors.", static_cast<double>(process.open_fds));
  add(MetricType::Gauge, "process_max_fds", "Limit on open file descriptors.",
      static_cast<double>(process.max_fds));
  add(MetricType::Gauge, "process_start_time_seconds", "When the process started, since the Unix epoch.",
      process.start_time_seconds);
}

}  // namespace

ClientFamilies::ClientFamilies(const FamilyContext& context)
    : http_requests(counter(context, "layover_http_requests_total", "Requests answered.",
                            {context.registry, kind(), label<Method>("method", kMethods), code(), cache()},
                            Show::kOnceUsed)),
      http_request_duration(histogram(context, "layover_http_request_duration_seconds",
                                      "Time from a request's first byte to its answer's last.",
                                      {kind(), cache()}, kDurationBounds)),
      time_to_first_byte(histogram(context, "layover_time_to_first_byte_seconds",
                                   "Time from a request's first byte to its answer's first.",
                                   {kind(), cache()}, kFirstByteBounds)),
      sent_bytes(counter(context, "layover_sent_bytes_total", "Bytes of bodies sent to clients.",
                         {context.registry, kind(), cache()}, Show::kOnceUsed)),
      saved_bytes(counter(context, "layover_saved_bytes_total",
                          "Bytes sent to clients without being fetched for them.", {context.registry})),
      stale_served(counter(context, "layover_stale_served_total",
                           "Answers from the cache that upstream could not confirm.", {context.registry})),
      client_aborts(counter(context, "layover_client_aborts_total",
                            "Requests that clients gave up before their answer's end.")),
      access_denied(counter(context, "layover_access_denied_total", "Requests refused by layover itself.",
                            {label<DenialReason>("reason", kDenialReasons)})),
      connections(gauge(context, "layover_connections", "Open connections.", {label<Side>("side", kSides)})) {
}

UpstreamFamilies::UpstreamFamilies(const FamilyContext& context)
    : requests(counter(context, "layover_upstream_requests_total", "Requests that upstream answered.",
                       {context.registry, kind(), code()}, Show::kOnceUsed)),
      received_bytes(counter(context, "layover_upstream_received_bytes_total",
                             "Bytes of bodies received from upstream.", {context.registry})),
      request_duration(histogram(context, "layover_upstream_request_duration_seconds",
                                 "Time from the start of an upstream request to its answer's end.",
                                 {context.registry, kind()}, kDurationBounds)),
      errors(counter(context, "layover_upstream_errors_total", "Upstream requests that failed.",
                     {context.registry, label<UpstreamReason>("reason", kUpstreamReasons)})),
      digest_mismatches(counter(context, "layover_digest_mismatches_total",
                                "Contents from upstream that were not what their digest names.",
                                {context.registry})) {}

FillFamilies::FillFamilies(const FamilyContext& context)
    : active(gauge(context, "layover_fills_active", "Downloads into the cache that are running.")),
      readers(gauge(context, "layover_fill_readers", "Clients that read from running downloads.")),
      results(counter(context, "layover_fills_total", "Downloads into the cache that ended.",
                      {label<FillResult>("result", kFillResults)})),
      prefetches(counter(context, "layover_prefetches_total",
                         "Downloads that ended, of those begun before any client asked for the content.",
                         {label<PrefetchResult>("result", kPrefetchResults)})) {}

StorageFamilies::StorageFamilies(const FamilyContext& context)
    : evicted_objects(counter(context, "layover_evicted_objects_total", "Contents removed to make room.")),
      evicted_bytes(
          counter(context, "layover_evicted_bytes_total", "Bytes of content removed to make room.")),
      damaged_objects(counter(context, "layover_damaged_objects_total",
                              "Stored contents that were found missing, or not what their digest names.")) {}

Metrics::Families::Families(const MetricsOptions& options)
    : context{options.loops, registry_label(options.registries)},
      client(context),
      upstream(context),
      fill(context),
      storage(context),
      build_info_(make_build_info(options)),
      ratelimit_remaining_(context.registry.values->capacity()) {
  for (auto& remaining : ratelimit_remaining_) remaining.store(kNeverSaid, std::memory_order_relaxed);
}

std::vector<MetricFamily> Metrics::Families::Collect() const {
  std::vector<MetricFamily> families;
  for (const Family* family : {&client.http_requests,
                               &client.http_request_duration,
                               &client.time_to_first_byte,
                               &client.sent_bytes,
                               &client.saved_bytes,
                               &client.stale_served,
                               &client.client_aborts,
                               &client.access_denied,
                               &client.connections,
                               &upstream.requests,
                               &upstream.received_bytes,
                               &upstream.request_duration,
                               &upstream.errors,
                               &upstream.digest_mismatches,
                               &fill.active,
                               &fill.readers,
                               &fill.results,
                               &fill.prefetches,
                               &storage.evicted_objects,
                               &storage.evicted_bytes,
                               &storage.damaged_objects}) {
    families.push_back(family->collect());
  }
  families.push_back(collect_ratelimits());
  collect_cache(families);
  families.push_back(build_info_);
  collect_process(families);
  // A name and help without a series tell nothing.
  std::erase_if(families, [](const MetricFamily& family) { return family.metric.empty(); });
  return families;
}

void Metrics::Families::read_cache_figures_with(std::function<CacheFigures()> read) {
  const std::lock_guard lock(mutex_);
  read_cache_figures_ = std::move(read);
}

MetricFamily Metrics::Families::collect_ratelimits() const {
  MetricFamily family = single_value(MetricType::Gauge, "layover_upstream_ratelimit_remaining",
                                     "Requests that the registry allows before its rate limit.", 0);
  const prometheus::ClientMetric empty = family.metric.front();
  family.metric.clear();
  for (std::size_t i = 0; i < context.registry.values->size(); ++i) {
    const std::int64_t remaining = ratelimit_remaining_[i].load(std::memory_order_relaxed);
    if (remaining == kNeverSaid) continue;
    prometheus::ClientMetric metric = empty;
    metric.label = {{context.registry.name, context.registry.values->at(i)}};
    metric.gauge.value = static_cast<double>(remaining);
    family.metric.push_back(std::move(metric));
  }
  return family;
}

void Metrics::Families::collect_cache(std::vector<MetricFamily>& families) const {
  families.push_back(single_value(MetricType::Gauge, "layover_cache_degraded",
                                  "1 while the cache cannot store and layover only passes through.",
                                  is_cache_degraded.load(std::memory_order_relaxed) ? 1 : 0));
  const std::lock_guard lock(mutex_);
  if (!read_cache_figures_) return;
  const CacheFigures figures = read_cache_figures_();
  families.push_back(single_value(MetricType::Gauge, "layover_cache_bytes", "Bytes of content stored.",
                                  static_cast<double>(figures.stored.count)));
  if (figures.limit.count > 0) {
    families.push_back(single_value(MetricType::Gauge, "layover_cache_max_bytes",
                                    "Bytes that the cache may hold, its index included.",
                                    static_cast<double>(figures.limit.count)));
  }
  MetricFamily objects = single_value(MetricType::Gauge, "layover_cache_objects", "Contents stored.",
                                      static_cast<double>(figures.manifests));
  objects.metric.push_back(objects.metric.front());
  objects.metric.front().label = {{"kind", "manifest"}};
  objects.metric.back().label = {{"kind", "blob"}};
  objects.metric.back().gauge.value = static_cast<double>(figures.blobs);
  families.push_back(std::move(objects));
  families.push_back(single_value(MetricType::Gauge, "layover_index_bytes",
                                  "Bytes of the index's file that are in use.",
                                  static_cast<double>(figures.index.count)));
}

}  // namespace layover::metrics
