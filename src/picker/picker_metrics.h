// Metrics of decisions, under the names of llm-d's endpoint picker and, beside them, the older names that
// dashboards still use. One object per registry serves many pickers; each appears with its pool's name.
//
// Any thread. The registry outlives the object.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "metrics/registry.h"
#include "picker/evaluate.h"
#include "picker/metrics/page.h"

namespace llmd::picker {

class RequestMetrics;

// What a page wants to know of one picker at the time it is written.
struct PoolView {
  std::shared_ptr<const EndpointSnapshot> endpoints;
  bool flow_control = false;
  double saturation = 0;  // as flow control sees it
  std::optional<double> prefill_saturation;
  std::optional<double> decode_saturation;
  std::size_t waiting = 0;
  std::size_t stale = 0;  // endpoints whose numbers the detector does not trust
  std::string_view detector;
};

class PickerMetrics {
 public:
  explicit PickerMetrics(metrics::Registry& registry);

  struct Pool {
    std::function<PoolView()> look;
    std::function<void(Page&)> write;  // what plugins and flow control know
  };
  // Until remove(), which waits for a page that is being written.
  void add_pool(const std::string& name, Pool pool);
  void remove_pool(const std::string& name);
  // Of all pools of the registry; made on the first call.
  std::shared_ptr<RequestMetrics> requests();

  void decided(const Plan& plan, const Cycle& cycle, const Stages& stages, Duration took);
  void rejected(const Cycle& cycle, Duration took);

 private:
  using Counters = metrics::Family<metrics::Counter>;
  using Histograms = metrics::Family<metrics::Histogram>;
  // Both names of one series.
  template <typename Metric>
  struct Twin {
    std::shared_ptr<Metric> current;
    std::shared_ptr<Metric> older;
  };
  using Counts = Twin<metrics::Counter>;
  struct Hits {
    std::shared_ptr<metrics::Histogram> ratio;
    std::shared_ptr<metrics::Histogram> bytes;
  };
  Counts& attempt(const EndpointState* endpoint, std::string_view model);
  Counts& disaggregation(std::string_view model, std::string_view type, const Plugin& handler);
  const Hits& hits(const Plugin& predictor);

  metrics::Histogram& seconds_;
  metrics::Histogram& seconds_older_;
  Histograms& hit_ratio_;
  metrics::Histogram& hit_ratio_older_;
  Histograms& hit_bytes_;
  metrics::Histogram& hit_bytes_older_;
  Counters& attempts_;
  Counters& attempts_older_;
  Counters& disaggregations_;
  Counters& disaggregations_older_;
  Counters& prefills_;  // the same under the name of the time before encoders
  Counters& prefills_older_;

  std::mutex mutex_;  // guards these; with() would make texts each time
  std::unordered_map<std::size_t, Counts> series_;
  std::unordered_map<std::size_t, Hits> hits_;
  // Shared with the page's callback, which lives as long as the registry.
  struct Pools {
    std::mutex mutex;
    std::map<std::string, Pool> pools;
    std::shared_ptr<RequestMetrics> requests;
    void write(metrics::TextWriter& writer);
  };
  const std::shared_ptr<Pools> pools_;
};

}  // namespace llmd::picker
