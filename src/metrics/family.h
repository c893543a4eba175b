// One metric family: its name and help, a cell for every combination of its labels' values, and how it
// is printed. Private to this folder, like everything that includes prometheus-cpp.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <prometheus/metric_family.h>

#include "metrics/cells.h"

namespace layover::metrics {

/// The values of one label, numbered from 0. They are only ever added to, up to a number that is fixed from
/// the start, since series are numbered by it. Thread-safe.
class LabelValues {
 public:
  /// `spare`: how many may be added.
  explicit LabelValues(std::vector<std::string> values, std::size_t spare = 0)
      : capacity_(values.size() + spare), values_(std::move(values)) {}

  std::size_t capacity() const { return capacity_; }
  std::size_t size() const;
  std::string at(std::size_t index) const;
  std::optional<std::size_t> find(std::string_view value) const;
  /// False where there is no room; true where it is there already.
  bool add(std::string value);

 private:
  const std::size_t capacity_;
  mutable std::mutex mutex_;
  std::vector<std::string> values_;
};

/// Families may share a label's values.
struct Label {
  std::string name;
  std::shared_ptr<LabelValues> values;
};

/// Which series a scrape shows: all, or those that are not 0.
enum class Show { kFromStart, kOnceUsed };

struct FamilyDescription {
  prometheus::MetricType type = prometheus::MetricType::Counter;  // Counter, Gauge or Histogram
  std::string name;
  std::string help;
  std::vector<Label> labels = {};  // only the first one's values may be added to
  Show show = Show::kFromStart;
  std::span<const double> bounds = {};  // of a histogram's buckets; static
};

/// Thread-safe.
class Family {
 public:
  Family(unsigned loops, FamilyDescription description);

  /// The series of these label values: for each label, in order, the index of its value.
  template <typename... Values>
  Counter counter(Values... values) {
    return {cells_, cells_per_series_ * index(values...)};
  }
  template <typename... Values>
  Gauge gauge(Values... values) {
    return {cells_, cells_per_series_ * index(values...)};
  }
  template <typename... Values>
  Histogram histogram(Values... values) {
    return {cells_, cells_per_series_ * index(values...), description_.bounds};
  }

  prometheus::MetricFamily collect() const;

 private:
  // Series are numbered with the last label's values next to each other.
  template <typename... Values>
  std::size_t index(Values... values) const {
    std::size_t series = 0;
    std::size_t label = 0;
    ((series = series * description_.labels[label++].values->capacity() + static_cast<std::size_t>(values)),
     ...);
    return series;
  }
  std::size_t series_in_use() const;
  std::vector<prometheus::ClientMetric::Label> labels_of(std::size_t series) const;
  bool read(std::size_t series, prometheus::ClientMetric& metric) const;
  bool read_histogram(std::size_t series, prometheus::ClientMetric& metric) const;

  FamilyDescription description_;
  std::size_t cells_per_series_;
  mutable CellArray cells_;  // reading needs handles, which can also write
};

/// A family of one series whose value was read elsewhere.
prometheus::MetricFamily single_value(prometheus::MetricType type, std::string name, std::string help,
                                      double value);

}  // namespace layover::metrics
