// Metric families: numbering of series, and their values at a scrape.
#include "metrics/family.h"

#include <limits>
#include <utility>

namespace layover::metrics {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

std::size_t count_series(const std::vector<Label>& labels) {
  std::size_t count = 1;
  for (const Label& label : labels) count *= label.values.size();
  return count;
}

std::size_t count_cells(const FamilyDescription& description) {
  const bool is_histogram = description.type == MetricType::Histogram;
  return is_histogram ? Histogram::cells_for(description.bounds.size()) : 1;
}

void set_value(ClientMetric& metric, MetricType type, double value) {
  if (type == MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
}

}  // namespace

Family::Family(unsigned loops, FamilyDescription description)
    : description_(std::move(description)),
      cells_per_series_(count_cells(description_)),
      series_count_(count_series(description_.labels)),
      cells_(loops, cells_per_series_ * series_count_) {}

MetricFamily Family::collect() const {
  MetricFamily family;
  family.name = description_.name;
  family.help = description_.help;
  family.type = description_.type;
  for (std::size_t series = 0; series < series_count_; ++series) {
    ClientMetric metric;
    const bool is_used = read(series, metric);
    if (!is_used && description_.show == Show::kOnceUsed) continue;
    metric.label = labels_of(series);
    family.metric.push_back(std::move(metric));
  }
  return family;
}

std::vector<ClientMetric::Label> Family::labels_of(std::size_t series) const {
  std::vector<ClientMetric::Label> labels(description_.labels.size());
  for (std::size_t i = labels.size(); i-- > 0;) {
    const Label& label = description_.labels[i];
    labels[i] = {label.name, label.values[series % label.values.size()]};
    series /= label.values.size();
  }
  return labels;
}

// Gives whether the series was ever used.
bool Family::read(std::size_t series, ClientMetric& metric) const {
  if (description_.type == MetricType::Histogram) return read_histogram(series, metric);
  const bool is_counter = description_.type == MetricType::Counter;
  const double value = is_counter ? static_cast<double>(Counter(cells_, series).value())
                                  : static_cast<double>(Gauge(cells_, series).value());
  set_value(metric, description_.type, value);
  return value != 0;
}

bool Family::read_histogram(std::size_t series, ClientMetric& metric) const {
  const auto snapshot = Histogram(cells_, cells_per_series_ * series, description_.bounds).snapshot();
  metric.histogram.sample_count = snapshot.count;
  metric.histogram.sample_sum = snapshot.sum;
  std::uint64_t cumulative = 0;
  for (std::size_t i = 0; i < snapshot.counts.size(); ++i) {
    cumulative += snapshot.counts[i];
    const bool is_last = i == description_.bounds.size();
    const double bound = is_last ? std::numeric_limits<double>::infinity() : description_.bounds[i];
    metric.histogram.bucket.push_back({cumulative, bound});
  }
  return snapshot.count != 0;
}

MetricFamily single_value(MetricType type, std::string name, std::string help, double value) {
  ClientMetric metric;
  set_value(metric, type, value);
  return {std::move(name), std::move(help), type, {std::move(metric)}};
}

}  // namespace layover::metrics
