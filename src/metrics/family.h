// One metric family: its name and help, a cell for every combination of its labels' values, and how it
// is printed. Private to this folder, like everything that includes prometheus-cpp.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include <prometheus/metric_family.h>

#include "metrics/cells.h"

namespace layover::metrics {

struct Label {
  std::string name;
  std::vector<std::string> values;
};

/// Which series a scrape shows: all, or those that are not 0.
enum class Show { kFromStart, kOnceUsed };

struct FamilyDescription {
  prometheus::MetricType type = prometheus::MetricType::Counter;  // Counter, Gauge or Histogram
  std::string name;
  std::string help;
  std::vector<Label> labels = {};
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
    ((series = series * description_.labels[label++].values.size() + static_cast<std::size_t>(values)), ...);
    return series;
  }
  std::vector<prometheus::ClientMetric::Label> labels_of(std::size_t series) const;
  bool read(std::size_t series, prometheus::ClientMetric& metric) const;
  bool read_histogram(std::size_t series, prometheus::ClientMetric& metric) const;

  FamilyDescription description_;
  std::size_t cells_per_series_;
  std::size_t series_count_;
  mutable CellArray cells_;  // reading needs handles, which can also write
};

/// A family of one series whose value was read elsewhere.
prometheus::MetricFamily single_value(prometheus::MetricType type, std::string name, std::string help,
                                      double value);

}  // namespace layover::metrics
