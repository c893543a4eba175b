// The typed doors to the families, and the scrape as text.
#include "metrics/metrics.h"

#include <utility>

#include <prometheus/text_serializer.h>

#include "metrics/families.h"

namespace layover::metrics {
namespace {

// A label from elsewhere must not lead out of the cells.
std::size_t position(const FamilyContext& context, RegistryLabel registry) {
  return registry.index < context.registry.values->capacity() ? registry.index : 0;
}

}  // namespace

Metrics::Metrics(const MetricsOptions& options) : families_(std::make_unique<Families>(options)) {}
Metrics::~Metrics() = default;

RegistryLabel Metrics::registry(std::string_view name) const {
  return {static_cast<std::uint16_t>(families_->context.registry.values->find(name).value_or(0))};
}

bool Metrics::add_registry(std::string_view name) {
  return families_->context.registry.values->add(std::string(name));
}

void Metrics::count_request(const RequestRecord& record) const {
  ClientFamilies& client = families_->client;
  const std::size_t registry = position(families_->context, record.registry);
  const std::size_t code = status_code_index(record.code);
  client.http_requests.counter(registry, record.kind, record.method, code, record.cache).add();
  client.http_request_duration.histogram(record.kind, record.cache).observe(record.duration);
  if (record.time_to_first_byte) {
    client.time_to_first_byte.histogram(record.kind, record.cache).observe(*record.time_to_first_byte);
  }
  client.sent_bytes.counter(registry, record.kind, record.cache).add(record.sent.count);
  client.saved_bytes.counter(registry).add(record.saved.count);
}

Counter Metrics::upstream_requests(RegistryLabel registry, Kind kind, int code) const {
  return families_->upstream.requests.counter(position(families_->context, registry), kind,
                                              status_code_index(code));
}

Counter Metrics::upstream_received_bytes(RegistryLabel registry) const {
  return families_->upstream.received_bytes.counter(position(families_->context, registry));
}

Histogram Metrics::upstream_request_duration(RegistryLabel registry, Kind kind) const {
  return families_->upstream.request_duration.histogram(position(families_->context, registry), kind);
}

Counter Metrics::upstream_errors(RegistryLabel registry, UpstreamReason reason) const {
  return families_->upstream.errors.counter(position(families_->context, registry), reason);
}

void Metrics::note_ratelimit_remaining(RegistryLabel registry, std::uint32_t requests) const {
  families_->note_ratelimit_remaining(position(families_->context, registry), requests);
}

Gauge Metrics::fills_active() const { return families_->fill.active.gauge(); }
Gauge Metrics::fill_readers() const { return families_->fill.readers.gauge(); }
Counter Metrics::fills(FillResult result) const { return families_->fill.results.counter(result); }
Counter Metrics::prefetches(PrefetchResult result) const {
  return families_->fill.prefetches.counter(result);
}

Counter Metrics::evicted_objects() const { return families_->storage.evicted_objects.counter(); }
Counter Metrics::damaged_objects() const { return families_->storage.damaged_objects.counter(); }
Counter Metrics::evicted_bytes() const { return families_->storage.evicted_bytes.counter(); }

Counter Metrics::digest_mismatches(RegistryLabel registry) const {
  return families_->upstream.digest_mismatches.counter(position(families_->context, registry));
}

Gauge Metrics::connections(Side side) const { return families_->client.connections.gauge(side); }

Counter Metrics::stale_served(RegistryLabel registry) const {
  return families_->client.stale_served.counter(position(families_->context, registry));
}

Counter Metrics::client_aborts() const { return families_->client.client_aborts.counter(); }

Counter Metrics::access_denied(DenialReason reason) const {
  return families_->client.access_denied.counter(reason);
}

void Metrics::set_cache_degraded(bool is_degraded) {
  families_->is_cache_degraded.store(is_degraded, std::memory_order_relaxed);
}

void Metrics::read_cache_figures_with(std::function<CacheFigures()> read) {
  families_->read_cache_figures_with(std::move(read));
}

std::string Metrics::serialize() const {
  return prometheus::TextSerializer().Serialize(families_->Collect());
}

}  // namespace layover::metrics
