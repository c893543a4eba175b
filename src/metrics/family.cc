// Metric families: numbering of series, and their values at a scrape.
#include "metrics/family.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace layover::metrics {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

std::size_t most_series(const std::vector<Label>& labels) {
  std::size_t count = 1;
  for (const Label& label : labels) count *= label.values->capacity();
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

std::size_t LabelValues::size() const {
  const std::lock_guard lock(mutex_);
  return values_.size();
}

std::string LabelValues::at(std::size_t index) const {
  const std::lock_guard lock(mutex_);
  return values_.at(index);
}

std::optional<std::size_t> LabelValues::find(std::string_view value) const {
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find(values_, value);
  if (found == values_.end()) return std::nullopt;
  return static_cast<std::size_t>(found - values_.begin());
}

bool LabelValues::add(std::string value) {
  const std::lock_guard lock(mutex_);
  if (std::ranges::find(values_, value) != values_.end()) return true;
  if (values_.size() == capacity_) return false;
  values_.push_back(std::move(value));
  return true;
}

Family::Family(unsigned loops, FamilyDescription description)
    : description_(std::move(description)),
      cells_per_series_(count_cells(description_)),
      cells_(loops, cells_per_series_ * most_series(description_.labels)) {}

// The first label's values are the coarsest step of the numbering: those that are not in use come last.
std::size_t Family::series_in_use() const {
  if (description_.labels.empty()) return 1;
  const LabelValues& first = *description_.labels.front().values;
  return most_series(description_.labels) / first.capacity() * first.size();
}

MetricFamily Family::collect() const {
  MetricFamily family;
  family.name = description_.name;
  family.help = description_.help;
  family.type = description_.type;
  const std::size_t count = series_in_use();
  for (std::size_t series = 0; series < count; ++series) {
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
    labels[i] = {label.name, label.values->at(series % label.values->capacity())};
    series /= label.values->capacity();
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
