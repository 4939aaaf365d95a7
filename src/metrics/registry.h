// The metrics of one process or component and their text for Prometheus.
//
//   struct Metrics {                                              // one per component: names, labels, help
//   in one place
//     explicit Metrics(metrics::Registry& registry);
//     metrics::Counter& requests;                                  //
//     registry.counter("llmd_gateway_requests_total", "…") metrics::Family<metrics::Histogram>& seconds; //
//     registry.histograms("…", "…", {"route"}, bounds)
//   };
//
// Making families and series takes a lock and happens once; keep what with() returns and change it without
// locks. The registry lives longer than everybody who uses it. A name is given once; a second registration is
// a bug.
#pragma once

#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "metrics/metric.h"
#include "metrics/text_writer.h"

namespace llmd::metrics {

// What the registry needs of a family: to write itself.
class AnyFamily {
 public:
  virtual ~AnyFamily() = default;
  virtual void write(TextWriter& writer) const = 0;
};

struct FamilyOptions {
  std::string name;
  std::string help;
  std::vector<std::string> labels;
  std::vector<double> bounds;     // histograms only
  std::size_t max_series = 1000;  // past it, with() answers with one shared series whose labels say "other"
};

template <typename Metric>
class Family final : public AnyFamily {
 public:
  explicit Family(FamilyOptions options);

  // The series with these label values, in the order of the label names; made on first use. The series stays
  // valid for its holders after remove().
  std::shared_ptr<Metric> with(std::initializer_list<std::string_view> values);
  std::shared_ptr<Metric> with(std::span<const std::string_view> values);
  // Takes the series off the page, for instance because the endpoint it speaks of is gone.
  void remove(std::initializer_list<std::string_view> values);

  void write(TextWriter& writer) const override;

 private:
  std::shared_ptr<Metric> make() const;
  std::string key_of(std::span<const std::string_view> values) const;

  const FamilyOptions options_;
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Metric>> series_;  // key: the labels as written
  std::shared_ptr<Metric> overflow_;                       // stands in series_, too, once needed
};

class Registry {
 public:
  Registry() = default;
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  Counter& counter(std::string name, std::string help);
  Gauge& gauge(std::string name, std::string help);
  Histogram& histogram(std::string name, std::string help, std::span<const double> bounds = latency_bounds());
  Family<Counter>& counters(std::string name, std::string help, std::vector<std::string> labels);
  Family<Gauge>& gauges(std::string name, std::string help, std::vector<std::string> labels);
  Family<Histogram>& histograms(std::string name, std::string help, std::vector<std::string> labels,
                                std::span<const double> bounds = latency_bounds());
  // The general form, for another bound on series.
  template <typename Metric>
  Family<Metric>& family(FamilyOptions options);

  // Called on every write_text, in the writer's thread: for numbers that are counted elsewhere. Lives as long
  // as the registry.
  void on_write(std::function<void(TextWriter&)> writer);

  // The page, families in the order of their registration.
  std::string write_text() const;

 private:
  template <typename Metric>
  Metric& single(FamilyOptions options);

  mutable std::mutex mutex_;
  std::map<std::string, std::unique_ptr<AnyFamily>, std::less<>> families_;
  std::vector<std::function<void(TextWriter&)>> writers_;  // families and callbacks in order
};

}  // namespace llmd::metrics
