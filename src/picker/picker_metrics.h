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

namespace llmd::picker {

class PickerMetrics {
 public:
  explicit PickerMetrics(metrics::Registry& registry);

  // What a page wants to know of one picker at the time it is written.
  struct PoolView {
    std::shared_ptr<const EndpointSnapshot> endpoints;
    bool flow_control = false;
    double saturation = 0;
    std::size_t waiting = 0;
  };
  using Look = std::function<PoolView()>;
  // Until remove(), which waits for a page that is being written.
  void add_pool(const std::string& name, Look look);
  void remove_pool(const std::string& name);

  void decided(const Plan& plan, const Cycle& cycle, const Stages& stages, Duration took);
  void rejected(const Cycle& cycle, Duration took);

 private:
  using Counters = metrics::Family<metrics::Counter>;
  // Both names of one series.
  struct Twin {
    std::shared_ptr<metrics::Counter> current;
    std::shared_ptr<metrics::Counter> older;
    void add() const {
      current->add();
      older->add();
    }
  };
  Twin& attempt(const EndpointState* endpoint, std::string_view model);
  Twin& disaggregation(std::string_view model, std::string_view type);

  metrics::Histogram& seconds_;
  metrics::Histogram& seconds_older_;
  metrics::Histogram& hit_ratio_;
  metrics::Histogram& hit_ratio_older_;
  metrics::Histogram& hit_bytes_;
  metrics::Histogram& hit_bytes_older_;
  Counters& attempts_;
  Counters& attempts_older_;
  Counters& disaggregations_;
  Counters& disaggregations_older_;

  std::mutex mutex_;  // guards series_; with() would make texts each time
  std::unordered_map<std::size_t, Twin> series_;
  // Shared with the page's callback, which lives as long as the registry.
  struct Pools {
    std::mutex mutex;
    std::map<std::string, Look> looks;
    void write(metrics::TextWriter& writer);
  };
  const std::shared_ptr<Pools> pools_;
};

}  // namespace llmd::picker
